// A chart with its head: symbol, time frames, the legend of the bar under the crosshair, what is missing.

import {signal} from '@preact/signals';
import {useEffect, useMemo, useRef} from 'preact/hooks';
import type {Candle} from '../lib/candles';
import {barAfter} from '../lib/frames';
import * as decimal from '../lib/decimal';
import {show} from '../lib/show';
import {clock, day, duration} from '../lib/time';
import {fast, feed, second, slow} from '../state/feeds';
import {change, isOf, layout, nameOf, panes, setPane, watched, keyOf, pickOf, type Pane} from '../state/layout';
import {light} from '../state/prefs';
import {plugins, streams} from '../state/things';
import {Button, State} from '../ui/parts';
import {ChartData, framesOf} from './chartdata';
import {ChartView} from './chartview';
import {StartStream} from './start';
import {price} from './watchlist';
import {t} from '../text';

export function ChartPane({pane, index}: {pane: Pane; index: number}) {
    const focused = layout.value.active === index && panes.value.length > 1;
    // A stream that comes or goes may be a better source for this chart.
    const sources = (streams.value ?? []).filter(s => isOf(s, pane) && (s.type === 'ohlcv' || s.type === 'trades')).map(s => s.topic + '@' + s.connection).sort().join(' ');
    return (
        <section class={'panel chart' + (focused ? ' focused' : '')} aria-label={t.market.chartOf(nameOf(pane), pane.frame)}
            onPointerDown={() => layout.value.active !== index && change({active: index})}>
            <PaneHead pane={pane} index={index} />
            <Day pane={pane} />
            <Chart key={keyOf(pane) + pane.frame + sources} pane={pane} />
        </section>
    );
}

function PaneHead({pane, index}: {pane: Pane; index: number}) {
    const known = watched.value.some(p => keyOf(p) === keyOf(pane));
    return (
        <header class="panel-head chart-head">
            <select class="symbol" aria-label={t.market.symbol} value={keyOf(pane)} onChange={e => setPane(index, pickOf(e.currentTarget.value))}>
                {!known && <option value={keyOf(pane)}>{show(nameOf(pane))}</option>}
                {watched.value.map(p => <option value={keyOf(p)}>{show(nameOf(p))}</option>)}
            </select>
            <div class="frames" role="group" aria-label={t.market.frames}>
                {framesOf(pane).map(f => (
                    <button type="button" key={f} aria-pressed={f === pane.frame} onClick={() => setPane(index, {frame: f})}>{f}</button>
                ))}
            </div>
            <select class="small frame-choice" aria-label={t.market.frames} value={pane.frame} onChange={e => setPane(index, {frame: e.currentTarget.value})}>
                {framesOf(pane).map(f => <option value={f}>{f}</option>)}
            </select>
            <button type="button" class="scale" aria-pressed={!!pane.log} title={t.market.logScaleTitle} onClick={() => setPane(index, {log: !pane.log})}>{t.market.logScale}</button>
        </header>
    );
}

/** The day in figures, where there is room. */
function Day({pane}: {pane: Pane}) {
    void slow.value;
    const f = feed(pane), tone = f.change?.startsWith('+') ? 'up' : f.change?.startsWith('-') ? 'down' : '';
    if (!f.last) return null;
    const one = (name: string, value: string, cls = '') => value && <div><dt>{name}</dt><dd class={cls}>{value}</dd></div>;
    return (
        <dl class="day">
            <div class="now"><dt class="hidden">{t.market.last}</dt><dd class={f.lastSide > 0 ? 'up' : f.lastSide < 0 ? 'down' : ''}>{price(f.last, f.places)}</dd></div>
            {one(t.market.change, f.change === null ? '' : f.change + '%', tone)}{one(t.market.high, price(f.high, f.places))}{one(t.market.low, price(f.low, f.places))}{one(t.market.volume, f.volume && decimal.brief(f.volume))}
        </dl>
    );
}

function Chart({pane}: {pane: Pane}) {
    const element = useRef<HTMLDivElement>(null);
    const view = useRef<ChartView | null>(null);
    const data = useMemo(() => new ChartData(pane), []);
    const bar = useMemo(() => signal<number | null>(null), []);
    useEffect(() => {
        const v = new ChartView(element.current!, data, start => { bar.value = start; });
        view.current = v;
        void data.start();
        const stop = [fast.subscribe(() => v.draw()), data.bandCount.subscribe(() => v.draw()), data.loading.subscribe(() => v.draw())];
        const ticker = window.setInterval(() => v.draw(), 200);
        return () => {
            clearInterval(ticker);
            for (const s of stop) s();
            data.stop();
            v.remove();
            view.current = null;
        };
    }, []);
    useEffect(() => view.current?.logarithmic(!!pane.log), [pane.log]);
    useEffect(() => light.subscribe(() => requestAnimationFrame(() => view.current?.theme())), []);
    return (
        <div class="chart-body">
            <Legend pane={pane} data={data} bar={bar.value} />
            <div class="chart-canvas" ref={element} tabIndex={0} role="application" aria-roledescription={t.market.chart} aria-label={t.market.chartKeys(nameOf(pane), pane.frame)}
                onKeyDown={e => view.current?.key(e.key) && (e.preventDefault(), e.stopPropagation())} onBlur={() => view.current?.leave()} />
            <Notes pane={pane} data={data} newest={() => view.current?.newest()} />
        </div>
    );
}

function Legend({pane, data, bar}: {pane: Pane; data: ChartData; bar: number | null}) {
    void fast.value;
    const f = feed(pane);
    const c = bar === null ? data.series.last : data.series.bar(bar);
    if (!c) {
        if (bar === null) return <div class="legend" />;
        const band = data.series.bands().find(b => b.first <= bar && bar <= b.last);
        return <div class="legend" aria-live="polite"><span class="warn">{band ? t.market.gapAt(t.causes[band.cause] ?? band.cause, clock(band.from), clock(band.to)) : t.market.noTradesAt}</span></div>;
    }
    const places = Math.max(f.places, ...[c.open, c.high, c.low, c.close].map(decimal.places));
    const before = data.series.previous(c.start);
    const from = before?.close ?? c.open;
    const moved = decimal.change(from, c.close);
    const tone = decimal.compare(c.close, c.open) >= 0 ? 'up' : 'down';
    return (
        <div class="legend" aria-live={bar === null ? 'off' : 'polite'}>
            {bar !== null && <span class="dim">{moment(c, data)}</span>}
            <Value name={t.market.o} value={price(c.open, places)} tone={tone} /><Value name={t.market.h} value={price(c.high, places)} tone={tone} />
            <Value name={t.market.l} value={price(c.low, places)} tone={tone} /><Value name={t.market.c} value={price(c.close, places)} tone={tone} />
            <span class={decimal.compare(c.close, from) >= 0 ? 'up' : 'down'}>{moved === null ? '' : moved + '%'}</span>
            <Value name={t.market.v} value={decimal.brief(c.volume)} tone="" />
        </div>
    );
}

function Value({name, value, tone}: {name: string; value: string; tone: string}) {
    return <span><b>{name}</b> <span class={tone}>{value}</span></span>;
}

const moment = (c: Candle, data: ChartData): string =>
    data.frame.seconds >= 86400 ? new Date(c.start * 1000).toISOString().slice(0, 10) : `${day(c.start * 1000)} ${clock(c.start * 1000)}`;

/** How long the bar under way still goes. */
function Closes({data}: {data: ChartData}) {
    void second.value;
    const last = data.series.last, end = last && barAfter(data.frame, last.start) * 1000;
    if (!end || end < Date.now() || data.frame.seconds < 15) return null;
    return <span class="dim">{t.market.closesIn(duration(Math.ceil((end - Date.now()) / 1000) * 1000))}</span>;
}

function Notes({pane, data, newest}: {pane: Pane; data: ChartData; newest: () => void}) {
    const bands = data.bandCount.value ? data.series.bands() : [];
    const last = bands[bands.length - 1];
    const source = streams.value?.find(s => s.id === data.source?.id);
    return (
        <div class="chart-notes">
            {data.loading.value && <span class="dim" role="status">{t.market.loadingCandles}</span>}
            {data.trouble.value && <span class="warn" role="alert">{t.market.candlesFailed}: {show(data.trouble.value)}</span>}
            {last && (
                <span class="gap-note">
                    <span>{t.market.gaps(bands.length)}: {t.causes[last.cause] ?? show(last.cause)}, {clock(last.from)} – {clock(last.to)} ({duration(last.to - last.from)})</span>
                    {data.canFill && <Button kind="quiet" onClick={() => data.fill()} title={t.market.fillTitle}>{t.market.fill}</Button>}
                </span>
            )}
            {source && source.state !== 'live' && <span title={show(source.why)}><State of={source.state} /></span>}
            {data.behind.value && <span class="to-newest"><Button kind="quiet" onClick={newest}>{t.market.toNewest}</Button></span>}
            <Closes data={data} />
            {data.way === 'finer' && <span class="dim">{t.market.ofFiner(data.series.base?.name ?? '')}</span>}
            {data.way === 'trades' && <span class="to-newest">{t.market.ofTrades} {plugins.value?.find(p => p.id === pane.plugin)?.timeframes.includes(pane.frame) && <StartStream pick={pane} type="ohlcv" frame={pane.frame} label={t.market.startCandles} />}</span>}
            {data.way === 'history' && <span class="to-newest">{t.market.noStreamHere} <StartStream pick={pane} type="ohlcv" /></span>}
        </div>
    );
}
