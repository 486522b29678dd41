// Plugins, connections, streams, sinks and the node itself as last answered. They are asked anew when the socket says
// that they changed, when it comes back, and now and then for the figures.

import {signal, type Signal} from '@preact/signals';
import * as api from './api';
import * as live from './live';
import {route} from './route';
import type {Connection, Node, Plugin, Sink, Stream} from './types';

export const plugins = signal<Plugin[] | null>(null);
export const connections = signal<Connection[] | null>(null);
export const streams = signal<Stream[] | null>(null);
export const sinks = signal<Sink[] | null>(null);
export const node = signal<Node | null>(null);
export const trouble = signal<string>('');

type What = 'plugins' | 'connections' | 'streams' | 'sinks' | 'node';
const busy = new Set<What>();
const again = new Set<What>();

const FIGURES = ['streams', 'messages', 'records', 'gaps', 'traps', 'restarts', 'calls'];
const MAYBE = ['call_p50_us', 'call_p99_us', 'cpu_ms', 'memory_octets', 'memory_limit_octets'];

/** A plugin that is not loaded yet says less of itself; a time frame is a name or an object that has one. */
function whole(given: unknown): Plugin {
    const p = given as Partial<Plugin> & {id: string; timeframes?: unknown[]};
    const figures: Record<string, number | null> = {};
    const said = (p.figures ?? {}) as Record<string, number | null | undefined>;
    for (const name of FIGURES) figures[name] = said[name] ?? 0;
    for (const name of MAYBE) figures[name] = said[name] ?? null;
    const name = (f: unknown): string => (typeof f === 'string' ? f : String((f as {timeframe?: unknown} | null)?.timeframe ?? ''));
    return {
        name: p.id, version: '', generation: '', enabled: true, state: '', why: '', sha256: '', size: 0, installed_at: null, versions: [], asks: [], grants: [],
        pending: null, fields: [], stream_types: [], commands: [], connections: 0, last_trap: null, ...p,
        timeframes: (p.timeframes ?? []).map(name).filter(Boolean), figures: figures as unknown as Plugin['figures'],
    };
}

async function load(what: What): Promise<void> {
    if (what === 'node') node.value = await api.get<Node>('/v1/node');
    else {
        const answer = await api.get<Record<string, unknown[]>>('/v1/' + what);
        const into: Signal<unknown[] | null> = ({plugins, connections, streams, sinks} as Record<string, Signal<unknown>>)[what] as Signal<unknown[] | null>;
        const list = answer[what] ?? [];
        into.value = what === 'plugins' ? list.map(whole) : list;
    }
}

/** One request of a kind at a time; what is asked meanwhile is asked once more behind it. */
export async function refresh(...whats: What[]): Promise<void> {
    await Promise.all(whats.map(async what => {
        if (busy.has(what)) {
            again.add(what);
            return;
        }
        busy.add(what);
        try {
            await load(what);
            trouble.value = '';
        } catch (error) {
            if (!(error instanceof api.ApiError && error.status === 401)) trouble.value = api.why(error);
        } finally {
            busy.delete(what);
        }
        if (again.delete(what)) await refresh(what);
    }));
}

export const refreshAll = (): Promise<void> => refresh('plugins', 'connections', 'streams', 'sinks', 'node');

const due = new Set<What>();
let timer = 0;
function soon(what: What): void {
    due.add(what);
    if (!timer) timer = window.setTimeout(() => {
        timer = 0;
        const now = [...due];
        due.clear();
        void refresh(...now);
    }, 150);
}

live.onChanged.add(what => {
    if (['plugins', 'connections', 'streams', 'sinks'].includes(what)) soon(what as What);
});
live.onOpen.add(() => void refreshAll());

/** While somebody looks: figures go on without a change of state, those of the page that is open, too. */
const FIGURED: Record<string, What> = {plugins: 'plugins', connections: 'connections', sinks: 'sinks'};
setInterval(() => {
    const more = FIGURED[route.value.page];
    if (live.state.value === 'open' && !document.hidden) void refresh('node', 'streams', ...(more ? [more] : []));
}, 4000);
