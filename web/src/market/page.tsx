// The market page: watchlist, charts, book and tape, and the streams behind them. On a phone one of them at a time.

import {signal} from '@preact/signals';
import {keyOf, layout, panes, setPaneCount, watched} from '../state/layout';
import {narrow} from '../state/prefs';
import {plugins, streams} from '../state/things';
import {Welcome} from '../pages/welcome';
import {ChartPane} from './chartpane';
import {Health} from './health';
import {Ladder} from './ladder';
import {Tape} from './tape';
import {Watchlist} from './watchlist';
import {t} from '../text';

type Tab = 'list' | 'chart' | 'book' | 'tape' | 'health';
export const tab = signal<Tab>('chart');
const TABS: [Tab, string][] = [['list', t.market.tabList], ['chart', t.market.tabChart], ['book', t.market.tabBook], ['tape', t.market.tabTape], ['health', t.market.tabHealth]];

export function MarketPage() {
    if (streams.value === null || plugins.value === null) return <p class="note pad" role="status">{t.loading}</p>;
    if (!watched.value.length && !layout.value.hidden.length) return <Welcome />;
    return narrow.value ? <Narrow /> : <Wide />;
}

function Wide() {
    const list = panes.value;
    return (
        <div class="market">
            <h1 class="hidden">{t.pages.market}</h1>
            <Watchlist />
            <div class="middle">
                <div class="pane-count" role="group" aria-label={t.market.paneCount}>
                    {[1, 2, 4].map(n => <button type="button" aria-pressed={list.length === n} aria-label={t.market.panesOf(n)} title={t.market.panesOf(n)} onClick={() => setPaneCount(n)}><Grid n={n} /></button>)}
                </div>
                <div class={'panes n' + list.length}>
                    {list.map((p, i) => <ChartPane key={i} pane={p} index={i} />)}
                </div>
                <Health />
            </div>
            <div class="side">
                <Ladder key={'l' + keyOfActive()} />
                <Tape key={'t' + keyOfActive()} />
            </div>
        </div>
    );
}

const keyOfActive = (): string => {
    const p = panes.value[Math.min(layout.value.active, panes.value.length - 1)];
    return p ? keyOf(p) : '';
};

function Grid({n}: {n: number}) {
    return (
        <svg width="16" height="12" viewBox="0 0 16 12" aria-hidden="true">
            <rect x=".5" y=".5" width="15" height="11" fill="none" stroke="currentColor" />
            {n >= 2 && <path d="M8 0v12" stroke="currentColor" />}
            {n >= 4 && <path d="M0 6h16" stroke="currentColor" />}
        </svg>
    );
}

function Narrow() {
    const pane = panes.value[Math.min(layout.value.active, panes.value.length - 1)];
    const now = tab.value;
    return (
        <div class="market-narrow">
            <h1 class="hidden">{t.pages.market}</h1>
            <div class="tabs" role="tablist" aria-label={t.market.parts}>
                {TABS.map(([id, name]) => <button type="button" role="tab" id={'tab-' + id} aria-selected={now === id} aria-controls="market-part" onClick={() => (tab.value = id)}>{name}</button>)}
            </div>
            <div class="market-part" id="market-part" role="tabpanel" aria-labelledby={'tab-' + now}>
                {now === 'list' && <Watchlist onChosen={() => (tab.value = 'chart')} />}
                {now === 'chart' && pane && <ChartPane key="only" pane={pane} index={Math.min(layout.value.active, panes.value.length - 1)} />}
                {now === 'book' && <Ladder />}
                {now === 'tape' && <Tape />}
                {now === 'health' && <Health />}
            </div>
        </div>
    );
}
