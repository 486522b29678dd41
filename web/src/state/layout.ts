// What a user watches and how: kept at /v1/ui/market, so that it is there on the next machine too.

import {computed, signal} from '@preact/signals';
import * as api from './api';
import {connections, streams} from './things';
import type {Stream} from './types';

export interface Pick {
    plugin: string;
    identifier: string;
    connection?: number | undefined; // only where several connections stream the symbol
}
export interface Pane extends Pick {
    frame: string;
    log?: boolean;       // a logarithmic axis of prices
}
export interface Layout {
    hidden: string[];    // keys taken off the watchlist
    order: string[];     // keys, as the user arranged them; the others follow
    panes: Pane[];
    active: number;      // of panes
    sort: string;
    levels: number;      // of each side of the book
    group: number;       // so many of the smallest steps of price are one level; 1: as the venue has them
    least: string;       // trades below this size are not listed
}

const symbolKey = (p: Pick): string => p.plugin + ' ' + p.identifier;
export const keyOf = (p: Pick): string => symbolKey(p) + (p.connection === undefined ? '' : ' @' + p.connection);
export function pickOf(key: string): Pick {
    const m = /^(\S+) (.*?)(?: @(\d+))?$/s.exec(key);
    return {plugin: m?.[1] ?? '', identifier: m?.[2] ?? '', connection: m?.[3] === undefined ? undefined : Number(m[3])};
}

/** Is it one of this pick's streams? */
export const isOf = (s: Stream, p: Pick): boolean => s.plugin === p.plugin && s.identifier === p.identifier && (p.connection === undefined || s.connection === p.connection);

export const connectionName = (id: number): string => connections.value?.find(c => c.id === id)?.name || '#' + id;

/** What a pick is called; where two connections stream the symbol, by whose it is, too. */
export const nameOf = (p: Pick): string => p.identifier + (p.connection === undefined ? '' : ' · ' + connectionName(p.connection));

export const layout = signal<Layout>({hidden: [], order: [], panes: [], active: 0, sort: '', levels: 15, group: 1, least: ''});
export const loaded = signal(false);
const MARKET = new Set(['trades', 'bbo', 'orderbook', 'ticker', 'ohlcv']);

/** Which connections stream each symbol. */
const carriers = computed<Map<string, number[]>>(() => {
    const out = new Map<string, number[]>();
    for (const s of streams.value ?? []) {
        if (!MARKET.has(s.type)) continue;
        const key = symbolKey(s), ids = out.get(key);
        if (!ids) out.set(key, [s.connection]);
        else if (!ids.includes(s.connection)) ids.push(s.connection);
    }
    for (const ids of out.values()) ids.sort((a, b) => a - b);
    return out;
});

/** A pick that was kept before a connection came or went means the one that there is. */
function settle<T extends Pick>(p: T): T {
    const ids = carriers.value.get(symbolKey(p)) ?? [];
    const connection = ids.length < 2 ? undefined : p.connection !== undefined && ids.includes(p.connection) ? p.connection : ids[0];
    return connection === p.connection ? p : {...p, connection};
}

/** All that has market streams, arranged. */
export const known = computed<Pick[]>(() => {
    const seen = new Map<string, Pick>();
    for (const [key, ids] of carriers.value) {
        const symbol = pickOf(key);
        for (const p of ids.length > 1 ? ids.map(connection => ({...symbol, connection})) : [symbol]) seen.set(keyOf(p), p);
    }
    const out: Pick[] = [];
    for (const key of layout.value.order)
        for (const [k, pick] of seen) if (k === key || symbolKey(pick) === key) {
            out.push(pick);
            seen.delete(k);
        }
    return [...out, ...seen.values()];
});
export const watched = computed<Pick[]>(() => known.value.filter(p => !layout.value.hidden.includes(keyOf(p)) && !layout.value.hidden.includes(symbolKey(p))).slice(0, 200));

/** The panes; before the user arranged any, the first symbol. */
export const panes = computed<Pane[]>(() => {
    if (layout.value.panes.length) return layout.value.panes.map(settle);
    const first = watched.value[0];
    return first ? [{...first, frame: '1m'}] : [];
});
export const active = computed<Pane | null>(() => panes.value[Math.min(layout.value.active, panes.value.length - 1)] ?? null);

let timer = 0;
export function change(part: Partial<Layout>): void {
    layout.value = {...layout.value, ...part};
    clearTimeout(timer);
    timer = window.setTimeout(keep, 400);
}

function keep(): void {
    timer = 0;
    void api.put('/v1/ui/market', layout.value).catch(() => {});
}

/** Who changes something and closes the page at once finds it changed, too. */
addEventListener('pagehide', () => {
    if (!timer) return;
    clearTimeout(timer);
    keep();
});

export function setPane(index: number, part: Partial<Pane>): void {
    const list = panes.value.map((p, i) => (i === index ? {...p, ...part} : p));
    change({panes: list, active: index});
}

/** Shows this symbol in the active pane. */
export function choose(pick: Pick): void {
    const i = Math.min(layout.value.active, Math.max(0, panes.value.length - 1));
    if (panes.value.length) setPane(i, {plugin: pick.plugin, identifier: pick.identifier, connection: pick.connection});
    else change({panes: [{...pick, frame: '1m'}], active: 0});
}

export function setPaneCount(n: number): void {
    const list = panes.value.slice(0, n);
    const others = watched.value.filter(p => !list.some(q => keyOf(q) === keyOf(p)));
    while (list.length < n) {
        const next = others.shift() ?? list[0];
        if (!next) break;
        list.push({plugin: next.plugin, identifier: next.identifier, connection: next.connection, frame: list[0]?.frame ?? '1m'});
    }
    change({panes: list, active: Math.min(layout.value.active, list.length - 1)});
}

/** Up or down in the watchlist, in the user's own order. */
export function move(pick: Pick, by: number): void {
    const order = known.value.map(keyOf), shown = watched.value.map(keyOf);
    const at = shown.indexOf(keyOf(pick)), other = shown[at + by];
    if (at < 0 || other === undefined) return;
    order.splice(order.indexOf(keyOf(pick)), 1);
    order.splice(order.indexOf(other) + (by > 0 ? 1 : 0), 0, keyOf(pick));
    change({order});
}

function isLayout(v: unknown): v is Partial<Layout> {
    return typeof v === 'object' && v !== null;
}

export async function load(): Promise<void> {
    try {
        const list = await api.get<{ui?: string[]; names?: string[]}>('/v1/ui');
        const kept = (list.ui ?? list.names ?? []).includes('market') ? await api.get<unknown>('/v1/ui/market') : null;
        if (isLayout(kept)) {
            const texts = (a: unknown): string[] => (Array.isArray(a) ? a.filter(x => typeof x === 'string') : []);
            const shown = Array.isArray(kept.panes) ? kept.panes.filter(p => p && typeof p.plugin === 'string' && typeof p.identifier === 'string' && typeof p.frame === 'string').slice(0, 4) : [];
            layout.value = {hidden: texts(kept.hidden), order: texts(kept.order), panes: shown, active: Number(kept.active) || 0, sort: String(kept.sort ?? ''), levels: Number(kept.levels) || 15, group: Number(kept.group) || 1, least: String(kept.least ?? '')};
        }
    } catch { /* none kept yet */ }
    loaded.value = true;
}
