// The book as a ladder: asks above, bids below, sizes as bars, and how the depth leans.

import {useEffect, useRef, useState} from 'preact/hooks';
import {depth, grouped, spread, type Level} from '../lib/book';
import * as decimal from '../lib/decimal';
import {duration} from '../lib/time';
import {fast, feed, second, streamOf, type Feed} from '../state/feeds';
import {active, change, layout, type Pick} from '../state/layout';
import {narrow} from '../state/prefs';
import {Empty, State} from '../ui/parts';
import {StartStream} from './start';
import {price, Size} from './watchlist';
import {t} from '../text';

const SIZES = [10, 15, 20, 40];
const GROUPS = [1, 2, 5, 10, 50, 100, 500, 1000];

export function Ladder() {
    const pick = active.value, levels = layout.value.levels;
    if (!pick) return null;
    const stream = streamOf(pick, 'orderbook');
    return (
        <section class="panel ladder" aria-label={t.market.book}>
            <header class="panel-head">
                <h2>{t.market.book}</h2>
                {stream && stream.state !== 'live' && <State of={stream.state} />}
                {stream && <Steps pick={pick} />}
                <select class="small" aria-label={t.market.levels} title={t.market.levels} value={String(levels)} onChange={e => change({levels: Number(e.currentTarget.value)})}>
                    {SIZES.map(n => <option value={String(n)}>{n}</option>)}
                </select>
            </header>
            {stream ? <Sides pick={pick} levels={levels} /> : <Empty><p>{t.market.noBook}</p><StartStream pick={pick} type="orderbook" /></Empty>}
        </section>
    );
}

/** The step of price that is one level, in the price's own digits where they are few. */
const stepOf = (places: number, n: number): string => decimal.text({units: BigInt(n), scale: places});
const stepName = (step: string, n: number): string => (step.length > 8 ? t.market.groupTimes(n) : decimal.canonical(step));

function Steps({pick}: {pick: Pick}) {
    void second.value; // the smallest step is learnt from the prices that come
    const places = feed(pick).places;
    return (
        <select class="small" aria-label={t.market.group} title={t.market.group} value={String(layout.value.group)} onChange={e => change({group: Number(e.currentTarget.value)})}>
            {GROUPS.map(n => <option value={String(n)}>{stepName(stepOf(places, n), n)}</option>)}
        </select>
    );
}

/** Both sides as the ladder shows them. */
function sides(f: Feed, n: number): {bids: Level[]; asks: Level[]} {
    const {bids, asks} = f.book, by = layout.value.group;
    if (by <= 1) return {bids: bids.slice(0, n), asks: asks.slice(0, n)};
    const step = stepOf(f.places, by);
    return {bids: grouped(bids, step, false, n), asks: grouped(asks, step, true, n)};
}

function running(side: Level[]): string[] {
    let total = '0';
    return side.map(l => (total = decimal.add(total, l.size) ?? total));
}

const ROW = 18, ROW_NARROW = 22, HEAD = 48;

/** How many levels of each side fit: the spread stays in the middle, in sight. */
function useFit(): [preact.RefObject<HTMLDivElement | null>, number] {
    const ref = useRef<HTMLDivElement>(null);
    const [fit, setFit] = useState(12);
    useEffect(() => {
        const watch = new ResizeObserver(([e]) => e && setFit(Math.max(3, Math.floor((e.contentRect.height - HEAD) / 2 / (narrow.value ? ROW_NARROW : ROW)))));
        watch.observe(ref.current!);
        return () => watch.disconnect();
    }, []);
    return [ref, fit];
}

function Sides({pick, levels}: {pick: Pick; levels: number}) {
    const [ref, fit] = useFit();
    return (
        <>
            <div class="ladder-scroll" ref={ref}><Rows pick={pick} levels={Math.min(levels, fit)} /></div>
            <Lean pick={pick} levels={levels} />
        </>
    );
}

function Rows({pick, levels}: {pick: Pick; levels: number}) {
    void fast.value;
    const f = feed(pick), book = f.book;
    if (!f.bookShown || (!book.bids.length && !book.asks.length)) return <Empty>{t.market.waitBook}</Empty>;
    const {asks, bids} = sides(f, levels);
    const askTotals = running(asks), bidTotals = running(bids);
    const widest = Math.max(1e-300, +(askTotals[askTotals.length - 1] ?? 0), +(bidTotals[bidTotals.length - 1] ?? 0));
    const sizePlaces = Math.min(8, Math.max(0, ...[...asks, ...bids].map(l => decimal.places(l.size))));
    const row = (l: Level, total: string, side: string) => (
        <tr key={side + l.key} class={side}>
            <td class="num price">{price(l.price, f.places)}</td>
            <td class="num"><Size text={l.size} places={sizePlaces} /></td>
            <td class="num dim total"><i aria-hidden="true" style={{width: Math.min(100, (+total / widest) * 100).toFixed(1) + '%'}} /><span>{decimal.brief(total)}</span></td>
        </tr>
    );
    const gap = spread(book);
    const percent = gap && book.bid ? decimal.ratio(gap, book.bid.price, 6) : null;
    return (
        <>
            {(!book.whole || book.doubtful) && <p class="warning">{book.doubtful ? t.market.bookDoubtful : t.market.bookPartial}</p>}
                <table class="table book">
                    <thead><tr><th scope="col" class="num">{t.market.price}</th><th scope="col" class="num">{t.market.size}</th><th scope="col" class="num">{t.market.total}</th></tr></thead>
                    <tbody>
                        {asks.map((l, i) => row(l, askTotals[i]!, 'ask')).reverse()}
                        <tr class="middle" key="middle">
                            <td class="num" colSpan={3}>
                                <span>{t.market.spread} {gap === null ? t.none : price(gap, f.places)}</span>
                                {percent !== null && <span class="dim">{t.market.bp(decimal.text({units: decimal.parse(percent)!.units, scale: 2}))}</span>}
                            </td>
                        </tr>
                        {bids.map((l, i) => row(l, bidTotals[i]!, 'bid'))}
                    </tbody>
                </table>
        </>
    );
}

function Lean({pick, levels}: {pick: Pick; levels: number}) {
    void fast.value;
    const f = feed(pick);
    if (!f.bookShown) return null;
    const d = depth(sides(f, levels), levels);
    return <Imbalance bids={d.bids} asks={d.asks} lean={d.imbalance} levels={levels} age={f.bookSeen ? Date.now() - f.bookSeen : null} />;
}

function Imbalance({bids, asks, lean, levels, age}: {bids: string; asks: string; lean: number; levels: number; age: number | null}) {
    const share = (50 + lean * 50).toFixed(1);
    return (
        <div class="imbalance" role="group" aria-label={t.market.imbalance}>
            <div class="imbalance-bar" aria-hidden="true"><i style={{width: share + '%'}} /></div>
            <dl>
                <div class="up"><dt>{t.market.bids}</dt><dd>{decimal.brief(bids)}</dd></div>
                <div><dt>{t.market.imbalanceOf(levels)}</dt><dd>{(lean >= 0 ? '+' : '') + (lean * 100).toFixed(1)}%</dd></div>
                <div class="down"><dt>{t.market.asks}</dt><dd>{decimal.brief(asks)}</dd></div>
            </dl>
            {age !== null && age > 10000 && <p class="warning">{t.market.bookOld(duration(age))}</p>}
        </div>
    );
}
