// The market of each symbol as the newest records make it: last price, best prices, ticker, trades, book. Which topics
// are wanted follows from what is on the page: all watched symbols' tickers and best prices, the active symbol's
// trades and book.

import {effect, signal} from '@preact/signals';
import {Book} from '../lib/book';
import * as decimal from '../lib/decimal';
import {Ring} from '../lib/ring';
import {msOf} from '../lib/time';
import {history} from './history';
import {active, isOf, keyOf, panes, watched, type Pick} from './layout';
import * as live from './live';
import {route} from './route';
import {streams} from './things';
import type {Rec, Stream} from './types';

export interface Trade {
    id: number; // counts here, a row's name
    at: number;
    price: string;
    size: string;
    side: string;
}
/** A line across the tape: something is missing here. */
export interface Hole {
    id: number;
    hole: Rec;
}

export class Feed {
    last = '';
    lastSide = 0;    // 1: the last change was upwards
    seenAt = 0;      // when the last tick came, ms
    open = '';
    high = '';
    low = '';
    volume = '';
    amount = '';
    tickerBid = '';
    tickerAsk = '';
    bid = '';
    bidSize = '';
    ask = '';
    askSize = '';
    places = 0;      // of prices, as the venue writes them
    sizePlaces = 0;
    readonly trades = new Ring<Trade | Hole>(400);
    readonly book = new Book();
    bookSeen = 0;
    bookWantedAt = 0; // until a moment later a book that is not whole is not worth to be shown

    price(text: string): void {
        this.places = Math.max(this.places, Math.min(20, decimal.places(text)));
        if (this.last && text !== this.last) this.lastSide = decimal.compare(text, this.last) > 0 ? 1 : -1;
        this.last = text;
    }
    see(text: string): void {
        if (text) this.places = Math.max(this.places, Math.min(20, decimal.places(text)));
    }

    get bookShown(): boolean { return this.book.whole || Date.now() - this.bookWantedAt > 6000; }
    get bestBid(): string { return this.bid || (this.book.whole && this.book.bid?.price) || this.tickerBid; }
    get bestAsk(): string { return this.ask || (this.book.whole && this.book.ask?.price) || this.tickerAsk; }
    get change(): string | null { return this.open && this.last ? decimal.change(this.open, this.last) : null; }
    get spread(): string | null { return this.bestBid && this.bestAsk ? decimal.subtract(this.bestAsk, this.bestBid) : null; }
}

const feeds = new Map<string, Feed>();
export function feed(p: Pick): Feed {
    const key = keyOf(p);
    let f = feeds.get(key);
    if (!f) feeds.set(key, (f = new Feed()));
    return f;
}

// ---- The page's clocks: parts that show figures render with them, not with each record ----

export const fast = signal(0); // 12 a second: book, trades
export const slow = signal(0); // 4 a second: watchlist
let fastDirty = false, slowDirty = true;
setInterval(() => {
    if (fastDirty && !document.hidden) {
        fastDirty = false;
        fast.value++;
    }
}, 80);
setInterval(() => {
    if (slowDirty && !document.hidden) {
        slowDirty = false;
        slow.value++;
    }
}, 250);
export const second = signal(0);
setInterval(() => second.value++, 1000);

// ---- Records in ----

const text = (v: unknown): string => (typeof v === 'string' ? v : typeof v === 'number' ? String(v) : '');
let tradeId = 0;

function take(f: Feed, r: Rec): void {
    slowDirty = fastDirty = true;
    if (r.kind === 'gap') {
        if (r.type === 'orderbook') f.book.gap();
        if (r.type === 'trades') f.trades.push({id: ++tradeId, hole: r});
        return;
    }
    if (r.kind !== 'data' || !r.data) return;
    f.seenAt = Date.now();
    takers[r.type]?.(f, r.data, r);
}

const takers: Record<string, (f: Feed, d: Record<string, unknown>, r: Rec) => void> = {
    trades(f, d, r) {
        const price = text(d.price), size = text(d.size);
        f.price(price);
        f.sizePlaces = Math.max(f.sizePlaces, Math.min(12, decimal.places(size)));
        f.trades.push({id: ++tradeId, at: msOf(d.timestamp) ?? msOf(d.ts_event) ?? msOf(r.ts_event) ?? Date.now(), price, size, side: text(d.side)});
    },
    bbo(f, d) {
        f.bid = text(d.bid);
        f.bidSize = text(d.bid_size);
        f.ask = text(d.ask);
        f.askSize = text(d.ask_size);
        f.see(f.bid);
        f.see(f.ask);
    },
    ticker(f, d) {
        const last = text(d.last) || text(d.close);
        if (last) f.price(last);
        f.open = text(d.open) || f.open;
        f.high = text(d.high) || f.high;
        f.low = text(d.low) || f.low;
        f.volume = text(d.volume) || f.volume;
        f.amount = text(d.amount) || f.amount;
        f.tickerBid = text(d.bid) || f.tickerBid;
        f.tickerAsk = text(d.ask) || f.tickerAsk;
    },
    orderbook(f, d) {
        f.book.apply(d);
        f.bookSeen = Date.now();
        if (f.book.bid) f.see(f.book.bid.price);
        if (f.book.ask) f.see(f.book.ask.price);
    },
    ohlcv(f, d) {
        const close = text(d.close);
        if (close && !f.last) f.price(close);
    },
};

// ---- What is wanted ----

const held = new Map<string, {feed: Feed; release: () => void}>();

export function streamOf(p: Pick, type: string, frame?: string): Stream | null {
    return (streams.value ?? []).find(s => isOf(s, p) && s.type === type &&
        (frame === undefined || s.parameters.timeframe === frame)) ?? null;
}

function wantedTopics(): Map<string, {pick: Pick; stream: Stream}> {
    const out = new Map<string, {pick: Pick; stream: Stream}>();
    const add = (pick: Pick, type: string): boolean => {
        const stream = streamOf(pick, type);
        if (stream) out.set(live.keyOf(stream.topic, stream.connection), {pick, stream});
        return !!stream;
    };
    for (const pick of watched.value) {
        const ticker = add(pick, 'ticker'), bbo = add(pick, 'bbo');
        if (!ticker && !bbo) add(pick, 'trades');
    }
    for (const pane of panes.value) add(pane, 'trades');
    if (active.value) {
        add(active.value, 'trades');
        add(active.value, 'orderbook');
    }
    return out;
}

effect(() => {
    const topics = route.value.page === 'market' ? wantedTopics() : new Map<string, {pick: Pick; stream: Stream}>();
    for (const [key, {release}] of held)
        if (!topics.has(key)) {
            release();
            held.delete(key);
        }
    for (const [key, {pick, stream}] of topics) {
        const f = feed(pick);
        if (held.get(key)?.feed === f) continue;
        held.get(key)?.release(); // the symbol goes by another name now: a second connection came
        if (stream.type === 'orderbook') {
            f.book.clear();
            f.bookWantedAt = Date.now();
            for (const ms of [400, 1500, 4000, 10000]) window.setTimeout(() => void findBook(stream, f), ms);
        }
        if (stream.type === 'trades') f.trades.clear();
        const newest = stream.type === 'ticker' || stream.type === 'bbo';
        const back = {trades: 120, ticker: 30, bbo: 30}[stream.type]; // seconds: there is something to see at once
        const since = back ? String(BigInt(Date.now() - back * 1000) * 1000000n) : null;
        held.set(key, {feed: f, release: live.want(stream.topic, r => take(f, r), {policy: newest ? 'newest_per_key' : 'drop_oldest', since, connection: stream.connection})});
    }
});

/** Some venues send a whole book once and then changes only: whoever comes later begins at the last whole one in the history. */
async function findBook({topic, connection}: Stream, f: Feed): Promise<void> {
    const key = live.keyOf(topic, connection);
    if (f.book.whole || held.get(key)?.feed !== f) return;
    try {
        const {records} = await history({pattern: topic, connection, order: 'desc', kinds: 'data'}, 2000);
        const whole = records.find(r => r.data && (Array.isArray(r.data.flags) ? r.data.flags.includes('snapshot') : r.data.type !== 'delta'));
        if (!whole?.seq || f.book.whole || held.get(key)?.feed !== f) return;
        f.book.clear();
        live.resume(key, String(BigInt(whole.seq) - 1n));
    } catch { /* the ladder says that it waits for a whole book */ }
}
