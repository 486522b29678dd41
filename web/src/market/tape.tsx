// Time and sales, newest first; a gap is a line across.

import * as decimal from '../lib/decimal';
import {show} from '../lib/show';
import {clock, duration, ms} from '../lib/time';
import {fast, feed, streamOf, type Hole, type Trade} from '../state/feeds';
import {active, change, layout} from '../state/layout';
import {Empty, State} from '../ui/parts';
import type {Rec} from '../state/types';
import {StartStream} from './start';
import {price, Size} from './watchlist';
import {t} from '../text';

const ROWS = 80;

export function gapText(r: Rec): string {
    const from = ms(r.from), to = ms(r.to);
    const span = from !== null && to !== null ? `${clock(from)} – ${clock(to)}, ${duration(to - from)}` : '';
    return [t.causes[r.cause ?? ''] ?? show(r.cause), r.count ? t.missing(Number(r.count)) : '', span].filter(Boolean).join(' · ');
}

export function Tape() {
    const pick = active.value;
    if (!pick) return null;
    const stream = streamOf(pick, 'trades');
    return (
        <section class="panel tape" aria-label={t.market.tape}>
            <header class="panel-head">
                <h2>{t.market.tape}</h2>{stream && stream.state !== 'live' && <State of={stream.state} />}
                {stream && <input class="small least" type="text" inputMode="decimal" aria-label={t.market.leastSize} title={t.market.leastSize} placeholder={t.market.least} value={layout.value.least}
                    aria-invalid={layout.value.least !== '' && decimal.parse(layout.value.least) === null} onInput={e => change({least: e.currentTarget.value.trim()})} />}
            </header>
            {stream ? <Rows /> : <Empty><p>{t.market.noTrades}</p><StartStream pick={pick} type="trades" /></Empty>}
        </section>
    );
}

function Rows() {
    void fast.value;
    const f = feed(active.value!);
    const least = layout.value.least;
    const all = decimal.parse(least) ? f.trades.newest(400).filter(r => 'hole' in r || decimal.compare(r.size, least) >= 0) : f.trades.newest(ROWS);
    const rows = all.slice(0, ROWS);
    if (!rows.length) return <Empty>{f.trades.length ? t.market.noneSoLarge : t.market.waitTrades}</Empty>;
    const trades = rows.some(r => !('hole' in r));
    const largest = Math.max(1e-300, ...rows.map(r => ('hole' in r ? 0 : +r.size)));
    return (
        <div class="scroll" tabIndex={0} role="group" aria-label={t.market.tape}>
            <table class="table trades">
                <thead><tr><th scope="col">{t.market.time}</th><th scope="col" class="num">{t.market.price}</th><th scope="col" class="num">{t.market.size}</th></tr></thead>
                <tbody>{rows.map(r => ('hole' in r ? <GapRow key={r.id} of={r} /> : <TradeRow key={r.id} of={r} places={f.places} sizePlaces={f.sizePlaces} share={+r.size / largest} />))}</tbody>
            </table>
            {!trades && decimal.parse(least) && <Empty>{t.market.noneSoLarge}</Empty>}
        </div>
    );
}

function GapRow({of}: {of: Hole}) {
    return <tr class="gap"><td colSpan={3}>{t.gap}: {gapText(of.hole)}</td></tr>;
}

function TradeRow({of, places, sizePlaces, share}: {of: Trade; places: number; sizePlaces: number; share: number}) {
    return (
        <tr class={of.side === 'buy' ? 'up' : of.side === 'sell' ? 'down' : ''}>
            <td class="dim">{clock(of.at, true)}<span class="hidden"> {show(of.side)}</span></td>
            <td class="num price">{price(of.price, places)}</td>
            <td class="num size"><i aria-hidden="true" style={{width: (share * 100).toFixed(0) + '%'}} /><Size text={of.size} places={sizePlaces} room={22 - places - of.price.length + decimal.places(of.price)} /></td>
        </tr>
    );
}
