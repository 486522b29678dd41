// Time and sales, newest first; a gap is a line across.

import * as decimal from '../lib/decimal';
import {show} from '../lib/show';
import {clock, duration, ms} from '../lib/time';
import {fast, feed, streamOf, type Hole, type Trade} from '../state/feeds';
import {active} from '../state/layout';
import {Empty, State} from '../ui/parts';
import type {Rec} from '../state/types';
import {price, Size} from './watchlist';
import {t} from '../text';

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
            <header class="panel-head"><h2>{t.market.tape}</h2>{stream && stream.state !== 'live' && <State of={stream.state} />}</header>
            {stream ? <Rows /> : <Empty>{t.market.noTrades}</Empty>}
        </section>
    );
}

function Rows() {
    void fast.value;
    const f = feed(active.value!);
    const rows = f.trades.newest(80);
    if (!rows.length) return <Empty>{t.market.waitTrades}</Empty>;
    return (
        <div class="scroll" tabIndex={0} role="region" aria-label={t.market.tape}>
            <table class="table trades">
                <thead><tr><th scope="col">{t.market.time}</th><th scope="col" class="num">{t.market.price}</th><th scope="col" class="num">{t.market.size}</th></tr></thead>
                <tbody>{rows.map(r => ('hole' in r ? <GapRow key={r.id} of={r} /> : <TradeRow key={r.id} of={r} places={f.places} sizePlaces={f.sizePlaces} />))}</tbody>
            </table>
        </div>
    );
}

function GapRow({of}: {of: Hole}) {
    return <tr class="gap"><td colSpan={3}>{t.gap}: {gapText(of.hole)}</td></tr>;
}

function TradeRow({of, places, sizePlaces}: {of: Trade; places: number; sizePlaces: number}) {
    return (
        <tr class={of.side === 'buy' ? 'up' : of.side === 'sell' ? 'down' : ''}>
            <td class="dim">{clock(of.at, true)}<span class="hidden"> {show(of.side)}</span></td>
            <td class="num price">{price(of.price, places)}</td>
            <td class="num"><Size text={of.size} places={sizePlaces} room={22 - places - of.price.length + decimal.places(of.price)} /></td>
        </tr>
    );
}
