// Candles out of what plugins and records say.

import {msOf} from './time';
import type {Candle} from './candles';

const text = (v: unknown): string => (typeof v === 'string' ? v : typeof v === 'number' ? String(v) : '');

/** null: no candle. `timestamp` or `ts_event` is where the bar begins. */
export function candleOf(data: Record<string, unknown> | undefined): Candle | null {
    if (!data) return null;
    const at = msOf(data.timestamp) ?? msOf(data.ts_event);
    const c = {open: text(data.open), high: text(data.high), low: text(data.low), close: text(data.close), volume: text(data.volume) || '0'};
    if (at === null || !c.open || !c.high || !c.low || !c.close) return null;
    return {start: Math.floor(at / 1000), ...c};
}

/** Of a list that may hold anything, oldest first, each start once (the latest state of it). */
export function candlesOf(list: unknown): Candle[] {
    const byStart = new Map<number, Candle>();
    if (Array.isArray(list))
        for (const item of list) {
            const c = candleOf(item as Record<string, unknown>);
            if (c) byStart.set(c.start, c);
        }
    return [...byStart.values()].sort((a, b) => a.start - b.start);
}
