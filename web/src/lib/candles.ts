// The candles of one symbol in one time frame: history, live bars, bars put together of finer ones or of trades, and
// the gaps between. A bar is the venue's decimal texts; a bucket without a bar is a hole that is drawn as one.
//
// A gap marks the bars it touches. Bars that come afterwards from the venue's own history (put with whole: true) close
// it bar by bar, and so does a live bar that comes behind the gap: venues send a bar's whole state each time. Bars made
// of trades stay marked.

import * as decimal from './decimal';
import {barAfter, barStart, type Frame} from './frames';

export interface Candle {
    start: number; // seconds
    open: string;
    high: string;
    low: string;
    close: string;
    volume: string;
}

export interface Gap {
    from: number | null; // milliseconds
    to: number | null;
    cause: string;
    count?: number;
    at: number; // when we were told, milliseconds
}

/** What is drawn: a bar, or a hole where there should be one. */
export type Slot = {start: number; candle: Candle | null};

export interface Band {
    first: number; // starts of the first and last bar that a gap touches, seconds
    last: number;
    cause: string;
    from: number;
    to: number;
}

const HOLE_MAX = 400; // longer holes are drawn this long: a weekend is not a thousand empty bars
const BARS_MAX = 20000;

export function merge(into: Candle, next: Candle): void {
    if (decimal.compare(next.high, into.high) > 0) into.high = next.high;
    if (decimal.compare(next.low, into.low) < 0) into.low = next.low;
    into.close = next.close;
    into.volume = decimal.add(into.volume, next.volume) ?? into.volume;
}

/** Finer candles, oldest first, put together. */
export function aggregate(candles: Iterable<Candle>, frame: Frame): Candle[] {
    const out: Candle[] = [];
    for (const c of candles) {
        const start = barStart(frame, c.start);
        const last = out[out.length - 1];
        if (last && last.start === start) merge(last, c);
        else out.push({...c, start});
    }
    return out;
}

/** Where a bar is missing between two that are there, an empty slot for each. */
export function slots(candles: readonly Candle[], frame: Frame): Slot[] {
    const out: Slot[] = [];
    for (const candle of candles) {
        const last = out[out.length - 1];
        if (last) {
            let start = barAfter(frame, last.start);
            for (let n = 0; start < candle.start && n < HOLE_MAX; n++, start = barAfter(frame, start)) out.push({start, candle: null});
        }
        out.push({start: candle.start, candle});
    }
    return out;
}

export class CandleSeries {
    readonly frame: Frame;
    readonly base: Frame | null; // bars are put together of these; null: they come as they are, or of trades
    private bars = new Map<number, Candle>();
    private order: number[] = []; // starts, ascending
    private parts = new Map<number, Map<number, Candle>>(); // of bars under way: base candles by start
    private closed = new Set<number>(); // bars that the venue's history, or a later state of them, gave whole
    private closedParts = new Set<number>(); // the same of base candles
    private gapList: Gap[] = [];
    changes = 0; // counts what needs more than an update of the last bar

    constructor(frame: Frame, base: Frame | null = null) {
        this.frame = frame;
        this.base = base;
    }

    get first(): number | null { return this.order[0] ?? null; }
    get last(): Candle | null { return this.bars.get(this.order[this.order.length - 1] ?? NaN) ?? null; }
    get size(): number { return this.order.length; }
    get gaps(): readonly Gap[] { return this.gapList; }

    private keep(c: Candle): void {
        if (!this.bars.has(c.start)) {
            const last = this.order[this.order.length - 1];
            if (last === undefined || c.start > last) this.order.push(c.start);
            else {
                let i = this.order.length;
                while (i > 0 && this.order[i - 1]! > c.start) i--;
                this.order.splice(i, 0, c.start);
                this.changes++;
            }
            if (this.order.length > BARS_MAX) {
                const gone = this.order.shift()!;
                this.bars.delete(gone);
                this.closed.delete(gone);
                this.changes++;
            }
        } else if (c.start !== this.order[this.order.length - 1]) this.changes++;
        this.bars.set(c.start, c);
    }

    /** From the venue's history: these bars are whole but for the newest. */
    history(candles: readonly Candle[]): void {
        const newest = candles.length ? candles[candles.length - 1]!.start : 0;
        for (const c of candles) {
            this.closed.add(c.start);
            if (c.start === newest && this.bars.has(c.start)) continue; // the live one knows better
            this.keep(c);
        }
        this.changes++;
    }

    /** A live bar, the newest state of it, in this frame or the finer one. */
    live(c: Candle): void {
        if (!this.base) {
            this.closed.add(c.start);
            return this.keep(c);
        }
        this.closedParts.add(c.start);
        const start = barStart(this.frame, c.start);
        let parts = this.parts.get(start);
        if (!parts) {
            this.parts.set(start, (parts = new Map()));
            if (this.parts.size > 3) this.parts.delete(Math.min(...this.parts.keys()));
        }
        parts.set(c.start, c);
        const ordered = [...parts.values()].sort((a, b) => a.start - b.start);
        const [bar] = aggregate(ordered, this.frame);
        if (bar) this.keep(bar);
    }

    /** What was in the bar under way before the first live part: finer bars out of history. */
    seed(candles: readonly Candle[]): void {
        if (!this.base) return;
        for (const c of candles) {
            const start = barStart(this.frame, c.start);
            let parts = this.parts.get(start);
            if (!parts) this.parts.set(start, (parts = new Map()));
            if (!parts.has(c.start)) parts.set(c.start, c);
        }
        while (this.parts.size > 3) this.parts.delete(Math.min(...this.parts.keys()));
    }

    trade(at: number, price: string, size: string): void {
        const start = barStart(this.frame, at / 1000);
        const bar = this.bars.get(start);
        const one: Candle = {start, open: price, high: price, low: price, close: price, volume: size};
        if (bar) {
            const next = {...bar};
            merge(next, one);
            this.keep(next);
        } else this.keep(one);
    }

    gap(g: Gap): void {
        if (this.gapList.some(o => o.from === g.from && o.to === g.to && o.cause === g.cause)) return;
        this.gapList.push(g);
        if (this.gapList.length > 200) this.gapList.shift();
        for (const start of this.touched(g)) {
            this.closedParts.delete(start);
            this.closed.delete(barStart(this.frame, start));
        }
        if (this.closedParts.size > 5000) this.closedParts.clear();
        this.changes++;
    }

    /** Starts of the bars (of the base, if there is one) in which something is missing. */
    private touched(g: Gap): number[] {
        const frame = this.base ?? this.frame;
        const out: number[] = [];
        const from = barStart(frame, (g.from ?? g.at) / 1000), to = (g.to ?? g.at) / 1000;
        for (let start = from, n = 0; start <= to && n < 5000; n++, start = barAfter(frame, start)) out.push(start);
        return out;
    }

    /** The venue's history has been asked for this stretch: what it gave is whole. */
    filled(candles: readonly Candle[]): void {
        for (const c of candles) {
            this.keep(c);
            this.closed.add(c.start);
        }
        this.changes++;
    }

    slots(): Slot[] {
        return slots(this.order.map(start => this.bars.get(start)!), this.frame);
    }

    /** Stretches of bars that a gap touches and that nothing has made whole since. */
    bands(): Band[] {
        const out: Band[] = [];
        for (const g of this.gapList) {
            const open: number[] = [];
            for (const part of this.touched(g)) {
                const start = barStart(this.frame, part);
                if (!this.closed.has(start) && !(this.base && this.closedParts.has(part))) open.push(start);
            }
            if (!open.length) continue;
            out.push({first: open[0]!, last: open[open.length - 1]!, cause: g.cause, from: g.from ?? g.at, to: g.to ?? g.at});
        }
        return out;
    }

    bar(start: number): Candle | null { return this.bars.get(start) ?? null; }

    /** The bar before this one, for what a bar changed. */
    previous(start: number): Candle | null {
        const i = this.order.indexOf(start);
        return i > 0 ? this.bars.get(this.order[i - 1]!) ?? null : null;
    }
}
