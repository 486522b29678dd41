// One chart: lightweight-charts with candles, volume and gap bands. Prices are floats only as positions; what is
// written comes from the venue's text: the legend from the bar, the label of the last price from a table, the axis
// with as many places as the venue uses.

import {CandlestickSeries, ColorType, createChart, CrosshairMode, HistogramSeries, PriceScaleMode, type IChartApi, type ISeriesApi, type Time, type UTCTimestamp} from 'lightweight-charts';
import type {Candle, Slot} from '../lib/candles';
import * as decimal from '../lib/decimal';
import {barAfter} from '../lib/frames';
import {clock, day} from '../lib/time';
import type {ChartData} from './chartdata';
import {GapBands} from './gapbands';

interface Colors {
    text: string; grid: string; line: string; up: string; down: string; gap: string; cross: string; panel: string;
}

function colors(): Colors {
    const style = getComputedStyle(document.documentElement);
    const v = (name: string): string => style.getPropertyValue('--' + name).trim();
    return {text: v('dim'), grid: v('grid'), line: v('line'), up: v('up-fill'), down: v('down-fill'), gap: v('warn'), cross: v('dim'), panel: v('panel')};
}

const two = (n: number): string => String(n).padStart(2, '0');

export class ChartView {
    private readonly chart: IChartApi;
    private readonly candles: ISeriesApi<'Candlestick'>;
    private readonly volume: ISeriesApi<'Histogram'>;
    private readonly bands = new GapBands();
    private readonly data: ChartData;
    private readonly onBar: (start: number | null) => void;
    private palette = colors();
    private drawnChanges = -1;
    private drawnLast = 0;
    private places = -1;
    private lastText: [number, string] = [NaN, ''];
    private asking = false;
    private count = 0; // slots that are drawn
    private at: number | null = null; // the bar that the keyboard is on
    private byKey = false;

    constructor(element: HTMLElement, data: ChartData, onBar: (start: number | null) => void) {
        this.data = data;
        this.onBar = onBar;
        this.chart = createChart(element, {
            autoSize: true,
            layout: {attributionLogo: false, fontSize: 11, fontFamily: getComputedStyle(document.body).fontFamily},
            crosshair: {mode: CrosshairMode.Normal},
            timeScale: {rightOffset: 4, barSpacing: 7, timeVisible: true, secondsVisible: data.frame.seconds < 60, tickMarkFormatter: (t: Time) => this.tick(t as number)},
            localization: {timeFormatter: (t: Time) => this.moment(t as number)},
            handleScroll: {vertTouchDrag: false},
        });
        this.volume = this.chart.addSeries(HistogramSeries, {priceScaleId: '', priceFormat: {type: 'volume'}, lastValueVisible: false, priceLineVisible: false});
        this.volume.priceScale().applyOptions({scaleMargins: {top: 0.82, bottom: 0}});
        this.candles = this.chart.addSeries(CandlestickSeries, {borderVisible: false});
        this.candles.priceScale().applyOptions({scaleMargins: {top: 0.12, bottom: 0.22}});
        this.candles.attachPrimitive(this.bands);
        this.theme();
        this.chart.subscribeCrosshairMove(p => {
            if (this.byKey) return;
            this.onBar(p.time === undefined ? null : (p.time as number));
        });
        this.chart.timeScale().subscribeVisibleLogicalRangeChange(range => {
            if (range && range.from < 30) void this.older();
            if (range) this.data.behind.value = this.count > 0 && range.to < this.count - 2;
        });
    }

    logarithmic(on: boolean): void {
        this.candles.priceScale().applyOptions({mode: on ? PriceScaleMode.Logarithmic : PriceScaleMode.Normal});
    }

    newest(): void {
        const scale = this.chart.timeScale();
        scale.scrollToPosition(scale.options().rightOffset, false); // at once: older bars that come meanwhile would lead an animation astray
    }

    remove(): void {
        this.chart.remove();
    }

    theme(): void {
        const c = (this.palette = colors());
        this.chart.applyOptions({
            layout: {background: {type: ColorType.Solid, color: c.panel}, textColor: c.text},
            grid: {vertLines: {color: c.grid}, horzLines: {color: c.grid}},
            crosshair: {vertLine: {color: c.cross, labelBackgroundColor: c.line}, horzLine: {color: c.cross, labelBackgroundColor: c.line}},
            rightPriceScale: {borderColor: c.line},
            timeScale: {borderColor: c.line},
        });
        this.candles.applyOptions({upColor: c.up, downColor: c.down, wickUpColor: c.up, wickDownColor: c.down});
        this.drawnChanges = -1;
        this.data.dirty = true;
    }

    private tick(t: number): string {
        if (this.data.frame.seconds >= 86400) return new Date(t * 1000).toISOString().slice(2, 10);
        const d = new Date(t * 1000);
        if (d.getHours() === 0 && d.getMinutes() === 0 && d.getSeconds() === 0) return `${two(d.getMonth() + 1)}-${two(d.getDate())}`;
        return this.data.frame.seconds < 60 ? clock(t * 1000) : `${two(d.getHours())}:${two(d.getMinutes())}`;
    }
    private moment(t: number): string {
        return this.data.frame.seconds >= 86400 ? new Date(t * 1000).toISOString().slice(0, 10) : `${day(t * 1000)} ${clock(t * 1000)}`;
    }

    private setPlaces(c: Candle): void {
        const n = Math.max(this.places, ...[c.open, c.high, c.low, c.close].map(decimal.places));
        if (n === this.places) return;
        this.places = n;
        this.candles.applyOptions({
            priceFormat: {type: 'custom', minMove: Number('1e-' + Math.min(n, 15)), formatter: (v: number) => decimal.grouped(v === this.lastText[0] ? this.lastText[1] : decimal.axisText(v, n))},
        });
    }

    private point(s: Slot): {time: UTCTimestamp; open?: number; high?: number; low?: number; close?: number} {
        const time = s.start as UTCTimestamp, c = s.candle;
        return c ? {time, open: +c.open, high: +c.high, low: +c.low, close: +c.close} : {time};
    }
    private bar(s: Slot): {time: UTCTimestamp; value?: number; color?: string} {
        const time = s.start as UTCTimestamp, c = s.candle;
        return c ? {time, value: +c.volume, color: (+c.close >= +c.open ? this.palette.up : this.palette.down) + '66'} : {time};
    }

    /** Called with the page's clock: draws what changed. */
    draw(): void {
        if (!this.data.dirty) return;
        this.data.dirty = false;
        const series = this.data.series, last = series.last;
        if (!last) return;
        this.setPlaces(last);
        this.lastText = [+last.close, decimal.padded(last.close, this.places)];
        const next = this.drawnLast && barAfter(series.frame, this.drawnLast);
        if (series.changes !== this.drawnChanges || (last.start !== this.drawnLast && last.start !== next)) {
            const all = series.slots();
            for (const s of all.slice(-300)) if (s.candle) this.setPlaces(s.candle);
            this.candles.setData(all.map(s => this.point(s)) as never);
            this.volume.setData(all.map(s => this.bar(s)) as never);
            this.drawnChanges = series.changes;
            this.count = all.length;
        } else {
            const slot = {start: last.start, candle: last};
            if (last.start !== this.drawnLast) this.count++;
            this.candles.update(this.point(slot) as never);
            this.volume.update(this.bar(slot) as never);
        }
        this.drawnLast = last.start;
        this.bands.set(series.bands(), this.palette.gap);
    }

    private async older(): Promise<void> {
        if (this.asking || this.data.loading.peek() || !this.data.series.size) return;
        this.asking = true;
        try {
            await this.data.older();
        } catch (error) {
            this.data.trouble.value = error instanceof Error ? error.message : String(error);
        }
        this.asking = false;
    }

    /** Keys on a chart that has the focus. True: it was for us. */
    key(name: string): boolean {
        const scale = this.chart.timeScale();
        if (name === '+' || name === '=' || name === '-') {
            const spacing = scale.options().barSpacing;
            scale.applyOptions({barSpacing: Math.min(60, Math.max(1, name === '-' ? spacing / 1.3 : spacing * 1.3))});
            return true;
        }
        if (name === 'Home' || name === 'End') {
            if (name === 'End') this.newest();
            else scale.scrollToPosition(-this.data.series.size + 20, false);
            return true;
        }
        if (name !== 'ArrowLeft' && name !== 'ArrowRight') return false;
        const all = this.data.series.slots();
        let i = this.at === null ? all.length : all.findIndex(s => s.start === this.at);
        i = Math.max(0, Math.min(all.length - 1, i + (name === 'ArrowLeft' ? -1 : 1)));
        const slot = all[i];
        if (!slot) return true;
        this.at = slot.start;
        this.byKey = true;
        this.chart.setCrosshairPosition(slot.candle ? +slot.candle.close : 0, slot.start as UTCTimestamp, this.candles);
        this.byKey = false;
        this.onBar(slot.start);
        const range = scale.getVisibleLogicalRange();
        if (range && (i < range.from + 2 || i > range.to - 2)) scale.scrollToPosition(i - all.length + 20, false);
        return true;
    }
    leave(): void {
        this.at = null;
        this.chart.clearCrosshairPosition();
        this.onBar(null);
    }
}
