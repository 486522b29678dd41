// What a user watches and how: kept at /v1/ui/market, so that it is there on the next machine too.

import {computed, signal} from '@preact/signals';
import * as api from './api';
import {streams} from './things';

export interface Pick {
    plugin: string;
    identifier: string;
}
export interface Pane extends Pick {
    frame: string;
}
export interface Layout {
    hidden: string[];    // keys taken off the watchlist
    order: string[];     // keys, as the user arranged them; the others follow
    panes: Pane[];
    active: number;      // of panes
    sort: string;
}

export const keyOf = (p: Pick): string => p.plugin + ' ' + p.identifier;
export const pickOf = (key: string): Pick => ({plugin: key.slice(0, key.indexOf(' ')), identifier: key.slice(key.indexOf(' ') + 1)});

export const layout = signal<Layout>({hidden: [], order: [], panes: [], active: 0, sort: ''});
export const loaded = signal(false);
const MARKET = new Set(['trades', 'bbo', 'orderbook', 'ticker', 'ohlcv']);

/** All that has market streams, arranged. */
export const known = computed<Pick[]>(() => {
    const seen = new Map<string, Pick>();
    for (const s of streams.value ?? []) if (MARKET.has(s.type)) seen.set(keyOf({plugin: s.plugin, identifier: s.identifier}), {plugin: s.plugin, identifier: s.identifier});
    const out: Pick[] = [];
    for (const key of layout.value.order) {
        const pick = seen.get(key);
        if (pick && seen.delete(key)) out.push(pick);
    }
    return [...out, ...seen.values()];
});
export const watched = computed<Pick[]>(() => known.value.filter(p => !layout.value.hidden.includes(keyOf(p))).slice(0, 200));

/** The panes; before the user arranged any, the first symbol. */
export const panes = computed<Pane[]>(() => {
    if (layout.value.panes.length) return layout.value.panes;
    const first = watched.value[0];
    return first ? [{...first, frame: '1m'}] : [];
});
export const active = computed<Pane | null>(() => panes.value[Math.min(layout.value.active, panes.value.length - 1)] ?? null);

let timer = 0;
export function change(part: Partial<Layout>): void {
    layout.value = {...layout.value, ...part};
    clearTimeout(timer);
    timer = window.setTimeout(() => void api.put('/v1/ui/market', layout.value).catch(() => {}), 400);
}

export function setPane(index: number, part: Partial<Pane>): void {
    const list = panes.value.map((p, i) => (i === index ? {...p, ...part} : p));
    change({panes: list, active: index});
}

/** Shows this symbol in the active pane. */
export function choose(pick: Pick): void {
    const i = Math.min(layout.value.active, Math.max(0, panes.value.length - 1));
    if (panes.value.length) setPane(i, pick);
    else change({panes: [{...pick, frame: '1m'}], active: 0});
}

export function setPaneCount(n: number): void {
    const list = panes.value.slice(0, n);
    const others = watched.value.filter(p => !list.some(q => keyOf(q) === keyOf(p)));
    while (list.length < n) {
        const next = others.shift() ?? list[0];
        if (!next) break;
        list.push({plugin: next.plugin, identifier: next.identifier, frame: list[0]?.frame ?? '1m'});
    }
    change({panes: list, active: Math.min(layout.value.active, list.length - 1)});
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
            layout.value = {hidden: texts(kept.hidden), order: texts(kept.order), panes: shown, active: Number(kept.active) || 0, sort: String(kept.sort ?? '')};
        }
    } catch { /* none kept yet */ }
    loaded.value = true;
}
