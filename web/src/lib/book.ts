// An order book out of records: snapshots and deltas, sizes absolute, zero takes a level away. Levels keep the venue's
// texts; each side is an array sorted best first, since a ladder reads the top and venues change near it.

import * as decimal from './decimal';

export interface Level {
    price: string;
    size: string;
    key: string; // one spelling of the price
    at: number;  // the price as a float, for the search only
    bucket?: [step: string, price: string]; // where grouping put it last
}

interface BookData {
    bids?: unknown;
    asks?: unknown;
    flags?: unknown;
    type?: unknown;
}

const LEVELS_MAX = 5000;

export class Book {
    bids: Level[] = [];
    asks: Level[] = [];
    whole = false;    // a snapshot was seen, and nothing is known to be missing since
    doubtful = false; // the host or the venue says that it may be wrong
    changes = 0;

    clear(): void {
        this.bids = [];
        this.asks = [];
        this.whole = false;
        this.changes++;
    }

    /** Something is missing: until the next snapshot the book is not the venue's. */
    gap(): void {
        this.doubtful = true;
        this.changes++;
    }

    apply(data: BookData): void {
        const flags = Array.isArray(data.flags) ? data.flags : null;
        const snapshot = flags ? flags.includes('snapshot') : data.type !== 'delta';
        if (snapshot) {
            this.bids = [];
            this.asks = [];
            this.whole = true;
            this.doubtful = false;
        }
        if (flags?.includes('maybe_bad')) this.doubtful = true;
        put(this.bids, data.bids, -1);
        put(this.asks, data.asks, 1);
        this.changes++;
    }

    get bid(): Level | null { return this.bids[0] ?? null; }
    get ask(): Level | null { return this.asks[0] ?? null; }
}

function find(side: Level[], at: number, key: string, sign: number): [number, boolean] {
    let low = 0, high = side.length;
    while (low < high) {
        const middle = (low + high) >> 1;
        const l = side[middle]!;
        const order = l.at !== at ? sign * (l.at - at) : sign * decimal.compare(l.key, key);
        if (order < 0) low = middle + 1;
        else if (order > 0) high = middle;
        else return [middle, true];
    }
    return [low, false];
}

function put(side: Level[], levels: unknown, sign: number): void {
    if (!Array.isArray(levels)) return;
    for (const level of levels) {
        if (!Array.isArray(level)) continue;
        const price = String(level[0]), size = String(level[1]);
        const at = decimal.toNumber(price);
        if (!Number.isFinite(at)) continue;
        const key = decimal.canonical(price);
        const [i, there] = find(side, at, key, sign);
        if (decimal.isZero(size)) {
            if (there) side.splice(i, 1);
        } else if (there) {
            side[i]!.size = size;
        } else {
            side.splice(i, 0, {price, size, key, at});
            if (side.length > LEVELS_MAX) side.pop();
        }
    }
}

/** The best `n` levels of a side, put together in steps of price: bids downwards, asks upwards, sizes added exactly. */
export function grouped(side: readonly Level[], step: string, up: boolean, n: number): Level[] {
    const out: Level[] = [];
    for (const l of side) {
        if (l.bucket?.[0] !== step) l.bucket = [step, decimal.multiple(l.price, step, up)];
        const price = l.bucket[1], last = out[out.length - 1];
        if (last && last.price === price) last.size = decimal.add(last.size, l.size) ?? last.size;
        else if (out.length === n) break;
        else out.push({price, size: l.size, key: price, at: decimal.toNumber(price)});
    }
    return out;
}

export interface Depth {
    bids: string; // sizes added up
    asks: string;
    imbalance: number; // -1 all asks .. 1 all bids
}

/** Of the best `n` levels of each side. */
export function depth(book: {bids: readonly Level[]; asks: readonly Level[]}, n: number): Depth {
    const sum = (side: readonly Level[]): string => side.slice(0, n).reduce((total, l) => decimal.add(total, l.size) ?? total, '0');
    const bids = sum(book.bids), asks = sum(book.asks);
    const b = decimal.toNumber(bids), a = decimal.toNumber(asks);
    return {bids, asks, imbalance: a + b > 0 ? (b - a) / (a + b) : 0};
}

/** Ask less bid, exactly; null while a side is empty. */
export function spread(book: Book): string | null {
    return book.bid && book.ask ? decimal.subtract(book.ask.price, book.bid.price) : null;
}
