// Where the candles of a chart come from. In this order: the plugin's own stream of the time frame; a finer stream, put
// together; the trades. History comes from the plugin's getOHLCV (who may operate), else from Weir's own history. So a
// time frame can be looked at without starting one more stream at the venue.

import {signal} from '@preact/signals';
import {CandleSeries, type Candle, type Gap} from '../lib/candles';
import {divides, frameOf, type Frame} from '../lib/frames';
import {ms, msOf} from '../lib/time';
import {candleOf, candlesOf} from '../lib/venue';
import * as api from '../state/api';
import {streamOf} from '../state/feeds';
import {isOf, type Pane, type Pick} from '../state/layout';
import {history} from '../state/history';
import * as live from '../state/live';
import {mayOperate} from '../state/session';
import {connections, plugins, streams} from '../state/things';
import type {Rec, Stream} from '../state/types';

export type Way = 'stream' | 'finer' | 'trades' | 'history';
const PAGE = 500;

export class ChartData {
    readonly frame: Frame;
    readonly series: CandleSeries;
    readonly way: Way;
    readonly source: Stream | null;
    readonly loading = signal(false);
    readonly trouble = signal('');
    readonly bandCount = signal(0);
    readonly behind = signal(false); // the newest bar is out of sight
    dirty = true;
    private readonly pane: Pane;
    private readonly connection: number | null;
    private release: (() => void) | null = null;
    private ended = false;    // there is nothing older
    private stopped = false;
    private lastTrade = 0;

    constructor(pane: Pane) {
        this.pane = pane;
        this.frame = frameOf(pane.frame) ?? frameOf('1m')!;
        const {way, source, base} = choose(pane, this.frame);
        this.way = way;
        this.source = source;
        this.series = new CandleSeries(this.frame, base);
        this.connection = source?.connection ?? pane.connection ?? connections.peek()?.find(c => c.plugin === pane.plugin)?.id ?? null;
    }

    private get asks(): boolean {
        return this.way !== 'trades' && mayOperate.peek() && this.connection !== null &&
            !!plugins.peek()?.find(p => p.id === this.pane.plugin)?.commands.includes('getOHLCV');
    }

    async start(): Promise<void> {
        this.loading.value = true;
        try {
            await this.oldGaps();
            if (this.way === 'trades') await this.tradesOf(null);
            else await this.older();
            if (this.series.base && this.asks) this.series.seed(await this.ask(this.series.base.name, null, Math.min(1000, Math.ceil(this.frame.seconds / this.series.base.seconds))));
        } catch (error) {
            this.trouble.value = api.why(error);
        }
        this.loading.value = false;
        if (this.stopped || !this.source) return;
        this.release = live.want(this.source.topic, r => this.take(r), {connection: this.source.connection});
        this.mark();
    }

    stop(): void {
        this.stopped = true;
        this.release?.();
        this.release = null;
    }

    private mark(): void {
        this.dirty = true;
        this.bandCount.value = this.series.bands().length;
    }

    private take(r: Rec): void {
        if (r.kind === 'gap') {
            this.series.gap(gapOf(r));
            return this.mark();
        }
        if (r.kind !== 'data' || !r.data) return;
        if (this.way === 'trades') this.trade(r);
        else {
            const c = candleOf(r.data);
            if (c) {
                const known = this.series.gaps.length;
                if (r.backfill && !this.series.base) this.series.filled([c]);
                else this.series.live(c);
                if (known) this.bandCount.value = this.series.bands().length;
            }
        }
        this.dirty = true;
    }

    private trade(r: Rec): void {
        const seq = Number(r.seq);
        if (seq <= this.lastTrade) return;
        this.lastTrade = seq;
        const d = r.data!;
        const at = msOf(d.timestamp) ?? msOf(d.ts_event) ?? ms(r.ts_event) ?? ms(r.ts_recv);
        if (at !== null) this.series.trade(at, String(d.price), String(d.size));
    }

    // ---- History ----

    private async ask(frame: string, before: number | null, limit: number): Promise<Candle[]> {
        const body: Record<string, unknown> = {symbol: this.pane.identifier, timeframe: frame, limit};
        if (before !== null) {
            body.startTime = (before - limit * (frameOf(frame)?.seconds ?? 60)) * 1000;
            body.endTime = before * 1000 - 1;
        }
        const answer = await api.postKeeping<{result: unknown}>(`/v1/connections/${this.connection}/commands/getOHLCV`, body);
        return candlesOf(answer.result);
    }

    private async kept(before: number | null): Promise<Candle[]> {
        const topic = this.source?.topic;
        if (!topic) return [];
        const to = before === null ? null : String(BigInt(Math.round(before * 1000)) * 1000000n);
        const {records} = await history({pattern: topic, connection: this.source?.connection, to, order: 'desc', kinds: 'data'}, 5000);
        return candlesOf(records.reverse().filter(r => this.mine(r)).map(r => r.data));
    }

    /** One page more of the past. */
    async older(): Promise<void> {
        if (this.ended || this.stopped) return;
        if (this.way === 'trades') return this.tradesOf(this.series.first);
        const before = this.series.first;
        const list = this.asks ? await this.ask(this.frame.name, before, PAGE) : await this.kept(before);
        const fresh = before === null ? list : list.filter(c => c.start < before);
        if (!fresh.length) this.ended = true;
        else if (this.asks || !this.series.base) this.series.history(fresh);
        else for (const c of fresh) this.series.live(c);
        this.mark();
    }

    private async tradesOf(before: number | null): Promise<void> {
        const topic = this.source?.topic;
        if (!topic || (before !== null && this.lastTrade)) return void (this.ended = true);
        const {records} = await history({pattern: topic, connection: this.source?.connection, order: 'desc', kinds: 'data'}, 5000);
        for (const r of records.reverse()) if (r.data && this.mine(r)) this.trade(r);
        this.mark();
    }

    private async oldGaps(): Promise<void> {
        const topic = this.source?.topic;
        if (!topic) return;
        const {records} = await history({pattern: topic, connection: this.source?.connection, order: 'desc', kinds: 'gap'}, 100);
        for (const r of records.reverse()) if (r.kind === 'gap' && this.mine(r)) this.series.gap(gapOf(r));
    }

    /** Two connections may have this topic: only what came by the one that the chart shows. */
    private mine(r: Rec): boolean {
        return r.connection === null || String(r.connection) === String(this.source?.connection);
    }

    get canFill(): boolean { return this.asks; }

    /** Asks the venue's history for what the open gaps miss. */
    async fill(): Promise<void> {
        for (const band of this.series.bands()) {
            const bars = Math.min(1000, Math.ceil((band.last - band.first) / this.frame.seconds) + 1);
            const list = await this.ask(this.frame.name, band.last + this.frame.seconds, bars);
            this.series.filled(list.filter(c => c.start >= band.first && c.start <= band.last));
        }
        this.mark();
    }
}

export function gapOf(r: Rec): Gap {
    const g: Gap = {from: ms(r.from), to: ms(r.to), cause: r.cause ?? '', at: ms(r.ts_out) ?? Date.now()};
    if (r.count !== undefined) g.count = Number(r.count);
    return g;
}

function choose(pane: Pane, frame: Frame): {way: Way; source: Stream | null; base: Frame | null} {
    const own = streamOf(pane, 'ohlcv', pane.frame);
    if (own) return {way: 'stream', source: own, base: null};
    let best: {stream: Stream; base: Frame} | null = null;
    for (const s of streams.peek() ?? []) {
        if (!isOf(s, pane) || s.type !== 'ohlcv') continue;
        const base = frameOf(String(s.parameters.timeframe ?? ''));
        if (base && base.seconds < frame.seconds && divides(base, frame) && (!best || base.seconds > best.base.seconds)) best = {stream: s, base};
    }
    if (best) return {way: 'finer', source: best.stream, base: best.base};
    const trades = streamOf(pane, 'trades');
    return trades ? {way: 'trades', source: trades, base: null} : {way: 'history', source: null, base: null};
}

/** The time frames that a pane offers: by trades the finest, then the plugin's own. */
export function framesOf(pane: Pick): string[] {
    const own = plugins.value?.find(p => p.id === pane.plugin)?.timeframes ?? [];
    const fine = streamOf(pane, 'trades') ? ['1s', '5s', '15s'] : [];
    const out = [...fine, ...own.filter(f => frameOf(f))];
    if (!own.length) out.push('1m', '5m', '15m', '1h');
    return [...new Set(out)].sort((a, b) => frameOf(a)!.seconds - frameOf(b)!.seconds);
}

