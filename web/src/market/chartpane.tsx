// A chart with its head: symbol, time frames, the legend of the bar under the crosshair, what is missing.

import {signal} from '@preact/signals';
import {useEffect, useMemo, useRef} from 'preact/hooks';
import type {Candle} from '../lib/candles';
import * as decimal from '../lib/decimal';
import {show} from '../lib/show';
import {clock, day, duration} from '../lib/time';
import {fast, feed} from '../state/feeds';
import {change, layout, panes, setPane, watched, keyOf, pickOf, type Pane} from '../state/layout';
import {light} from '../state/prefs';
import {streams} from '../state/things';
import {Button} from '../ui/parts';
import {ChartData, framesOf} from './chartdata';
import {ChartView} from './chartview';
import {price} from './watchlist';
import {t} from '../text';

export function ChartPane({pane, index}: {pane: Pane; index: number}) {
    const focused = layout.value.active === index && panes.value.length > 1;
    // A stream that comes or goes may be a better source for this chart.
    const sources = (streams.value ?? []).filter(s => s.plugin === pane.plugin && s.identifier === pane.identifier && (s.type === 'ohlcv' || s.type === 'trades')).map(s => s.topic).sort().join(' ');
    return (
        <section class={'panel chart' + (focused ? ' focused' : '')} aria-label={t.market.chartOf(pane.identifier, pane.frame)}
            onPointerDown={() => layout.value.active !== index && change({active: index})}>
            <PaneHead pane={pane} index={index} />
            <Chart key={keyOf(pane) + pane.frame + sources} pane={pane} />
        </section>
    );
}

function PaneHead({pane, index}: {pane: Pane; index: number}) {
    const known = watched.value.some(p => keyOf(p) === keyOf(pane));
    return (
        <header class="panel-head chart-head">
            <select class="symbol" aria-label={t.market.symbol} value={keyOf(pane)} onChange={e => setPane(index, pickOf(e.currentTarget.value))}>
                {!known && <option value={keyOf(pane)}>{show(pane.identifier)}</option>}
                {watched.value.map(p => <option value={keyOf(p)}>{show(p.identifier)}</option>)}
            </select>
            <div class="frames" role="group" aria-label={t.market.frames}>
                {framesOf(pane).map(f => (
                    <button type="button" key={f} aria-pressed={f === pane.frame} onClick={() => setPane(index, {frame: f})}>{f}</button>
                ))}
            </div>
        </header>
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
    useEffect(() => light.subscribe(() => requestAnimationFrame(() => view.current?.theme())), []);
    return (
        <div class="chart-body">
            <Legend pane={pane} data={data} bar={bar.value} />
            <div class="chart-canvas" ref={element} tabIndex={0} role="application" aria-roledescription={t.market.chart} aria-label={t.market.chartKeys(pane.identifier, pane.frame)}
                onKeyDown={e => view.current?.key(e.key) && (e.preventDefault(), e.stopPropagation())} onBlur={() => view.current?.leave()} />
            <Notes data={data} />
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
            <Value name="O" value={price(c.open, places)} tone={tone} /><Value name="H" value={price(c.high, places)} tone={tone} />
            <Value name="L" value={price(c.low, places)} tone={tone} /><Value name="C" value={price(c.close, places)} tone={tone} />
            <span class={tone}>{moved === null ? '' : moved + '%'}</span>
            <Value name="V" value={decimal.brief(c.volume)} tone="" />
        </div>
    );
}

function Value({name, value, tone}: {name: string; value: string; tone: string}) {
    return <span><b>{name}</b> <span class={tone}>{value}</span></span>;
}

const moment = (c: Candle, data: ChartData): string =>
    data.frame.seconds >= 86400 ? new Date(c.start * 1000).toISOString().slice(0, 10) : `${day(c.start * 1000)} ${clock(c.start * 1000)}`;

function Notes({data}: {data: ChartData}) {
    const bands = data.bandCount.value ? data.series.bands() : [];
    const last = bands[bands.length - 1];
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
            {data.way === 'finer' && <span class="dim">{t.market.ofFiner(data.series.base?.name ?? '')}</span>}
            {data.way === 'trades' && <span class="dim">{t.market.ofTrades}</span>}
            {data.way === 'history' && <span class="dim">{t.market.noStreamHere}</span>}
        </div>
    );
}
