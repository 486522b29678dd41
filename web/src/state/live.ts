// The one WebSocket that everything live on the pages comes through.
//
// Topics are wanted by parts of the page (want) and given up (the function that it returns); the socket subscribes to
// what is wanted. Lines are kept until the next frame, then handed out in one go, so a thousand records a second cost
// one rendering. When the socket goes it is opened again with a growing pause, every topic resumes behind the last seq
// that was seen here, and what that brought (caught up, incomplete, gaps) is kept for people to see.

import {signal} from '@preact/signals';
import {parseRecord} from '../lib/json';
import {topicOf} from '../lib/topic';
import type {LogLine, Rec} from './types';

export type State = 'off' | 'connecting' | 'open' | 'waiting';
export const state = signal<State>('off');
export const nextTryAt = signal(0);

export interface Rates {
    records: number;   // a second, over the last second
    lag: number;       // ms between the venue's message at the host and here, of the newest record
    dropped: number;   // lines that this page gave up because it could not keep up
    total: number;
}
export const rates = signal<Rates>({records: 0, lag: 0, dropped: 0, total: 0});

export interface Missed {
    from: number;      // ms: the socket went
    to: number;        // it was back
    caught: number;    // records that came out of the history
    incomplete: number; // topics whose history has a hole
    gaps: {topic: string; cause: string; from: string | null; to: string | null}[];
    dismissed: boolean;
}
export const missed = signal<Missed | null>(null);

type OnRecord = (r: Rec, topic: string) => void;
interface Wanted {
    id: string;
    topic: string;
    connection: number | null; // of the stream; a topic may be two, one of each connection
    policy: string;
    since: string | null;
    seq: string | null; // the last that was seen
    fns: Set<OnRecord>;
    sent: boolean;
    live: boolean;     // what comes is new, no history any more
}

/** What a stream goes by: a topic may be two, one of each connection. */
export const keyOf = (topic: string, connection: number | string | null): string => (connection === null ? topic : `${topic}@${connection}`);

const wanted = new Map<string, Wanted>(); // by keyOf
const byId = new Map<string, Wanted>();
let socket: WebSocket | null = null;
let counter = 0, tries = 0, timer = 0;
let downAt = 0;
let lines: string[] = [];
let scheduled = false;
let inSecond = 0, dropped = 0, total = 0, lastLag = 0;
const LINES_MAX = 20000;

export const onChanged = new Set<(what: string, id: string) => void>();
export const onLog = new Set<(line: LogLine) => void>();
export const onOpen = new Set<() => void>();
export const onLost = new Set<() => void>(); // it went, or did not come back
let logLevel: string | null = null;

/** Hands out the records of one topic. `since`: history from there first, then live (ns as text). */
export function want(topic: string, fn: OnRecord, options: {policy?: string; since?: string | null; connection?: number} = {}): () => void {
    const key = keyOf(topic, options.connection ?? null);
    let w = wanted.get(key);
    if (!w) {
        w = {id: 'w' + ++counter, topic, connection: options.connection ?? null, policy: options.policy ?? 'drop_oldest', since: options.since ?? null, seq: null, fns: new Set(), sent: false, live: false};
        wanted.set(key, w);
        byId.set(w.id, w);
        if (state.value === 'open') subscribe(w);
    }
    w.fns.add(fn);
    return () => {
        w.fns.delete(fn);
        if (w.fns.size || wanted.get(key) !== w) return;
        wanted.delete(key);
        byId.delete(w.id);
        if (w.sent) send({op: 'unsubscribe', id: w.id});
    };
}

/** Gives this stream anew, behind `seq`: for a reader that has found its beginning in the history. */
export function resume(key: string, seq: string): void {
    const w = wanted.get(key);
    if (!w || state.value !== 'open') return;
    send({op: 'unsubscribe', id: w.id});
    byId.delete(w.id);
    w.id = 'w' + ++counter;
    byId.set(w.id, w);
    w.seq = seq;
    subscribe(w);
}

export function wantLogs(level: string): void {
    logLevel = level;
    if (state.value === 'open') send({op: 'logs', level});
}

function send(message: unknown): void {
    if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
}

function subscribe(w: Wanted): void {
    w.sent = true;
    w.live = !w.seq && !w.since;
    const message: Record<string, unknown> = {op: 'subscribe', id: w.id, pattern: w.topic, policy: w.policy, max_records: 4096};
    if (w.connection !== null) message.connection = w.connection;
    if (w.seq) Object.assign(message, {from: 'seq', seqs: {[keyOf(w.topic, w.connection)]: w.seq}});
    else if (w.since) Object.assign(message, {from: 'time', since: w.since});
    else message.from = 'now';
    send(message);
}

export function start(): void {
    if (state.value !== 'off') return;
    tries = 0;
    open();
}

export function stop(): void {
    clearTimeout(timer);
    const s = socket;
    socket = null;
    s?.close();
    state.value = 'off';
}

export function retryNow(): void {
    if (state.value !== 'waiting') return;
    clearTimeout(timer);
    open();
}

function open(): void {
    state.value = 'connecting';
    const url = new URL('/v1/records/ws', location.href);
    url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
    const s = new WebSocket(url);
    socket = s;
    s.onopen = () => {
        if (socket !== s) return;
        tries = 0;
        state.value = 'open';
        if (downAt) missed.value = {from: downAt, to: Date.now(), caught: 0, incomplete: 0, gaps: [], dismissed: false};
        downAt = 0;
        send({op: 'watch'});
        if (logLevel) send({op: 'logs', level: logLevel});
        for (const w of wanted.values()) subscribe(w);
        for (const fn of onOpen) fn();
    };
    s.onmessage = event => {
        if (socket === s && typeof event.data === 'string') take(event.data);
    };
    s.onclose = () => {
        if (socket !== s) return;
        socket = null;
        for (const w of wanted.values()) w.sent = false;
        if (state.value === 'open') downAt = Date.now();
        retry();
        for (const fn of onLost) fn();
    };
}

/** 0.3 s, 0.6 s, ... 10 s, each spread so that a thousand pages do not come back in one moment. */
function retry(): void {
    const pause = Math.min(10000, 300 * 2 ** tries++) * (0.7 + 0.6 * Math.random());
    nextTryAt.value = Date.now() + pause;
    state.value = 'waiting';
    timer = window.setTimeout(open, pause);
}

function take(line: string): void {
    lines.push(line);
    if (lines.length > LINES_MAX) {
        dropped += lines.length - LINES_MAX / 2;
        lines = lines.slice(-LINES_MAX / 2);
    }
    schedule();
}

function schedule(): void {
    if (scheduled) return;
    scheduled = true;
    if (document.hidden) setTimeout(hand, 500);
    else requestAnimationFrame(hand);
}

function hand(): void {
    scheduled = false;
    const batch = lines;
    lines = [];
    for (const line of batch) {
        try {
            if (line.startsWith('{"op"')) control(line);
            else one(parseRecord(line) as Rec);
        } catch (error) {
            console.warn('a message that cannot be read', error, line.slice(0, 200));
        }
    }
}

function one(r: Rec): void {
    const topic = topicOf(r);
    const w = wanted.get(keyOf(topic, r.connection)) ?? wanted.get(topic);
    total++;
    if (!w) return;
    if (w.live) {
        inSecond++;
        if (r.ts_out) lastLag = Math.max(0, Date.now() - Number(r.ts_out.slice(0, -6)));
    }
    if (r.seq) w.seq = r.seq;
    if (r.kind === 'gap') noteGap(topic, r);
    for (const fn of w.fns) fn(r, topic);
}

function noteGap(topic: string, r: Rec): void {
    const m = missed.value;
    if (!m || Date.now() - m.to > 30000 || m.gaps.length >= 50) return;
    missed.value = {...m, gaps: [...m.gaps, {topic, cause: r.cause ?? '', from: r.from ?? null, to: r.to ?? null}]};
}

interface Control {
    op: string;
    id?: string;
    what?: string;
    history?: number;
    complete?: boolean;
    text?: string;
    why?: string;
}

function control(line: string): void {
    const c = JSON.parse(line) as Control;
    if (c.op === 'changed') for (const fn of onChanged) fn(c.what ?? '', String(c.id ?? ''));
    else if (c.op === 'log') for (const fn of onLog) fn(c as unknown as LogLine);
    else if (c.op === 'seam') seam(c);
    else if (c.op === 'error') console.warn('records:', c.text);
}

function seam(c: Control): void {
    const m = missed.value, w = byId.get(c.id ?? '');
    if (w) w.live = true;
    if (!m || !w || Date.now() - m.to > 30000) return;
    missed.value = {...m, caught: m.caught + (c.history ?? 0), incomplete: m.incomplete + (c.complete === false ? 1 : 0)};
}

setInterval(() => {
    rates.value = {records: inSecond, lag: lastLag, dropped, total};
    inSecond = 0;
}, 1000);
