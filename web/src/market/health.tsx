// The streams behind the active symbol: state and why, how fresh, what was lost.

import {show} from '../lib/show';
import {count, duration, ms} from '../lib/time';
import {second} from '../state/feeds';
import {active, isOf, nameOf} from '../state/layout';
import {href} from '../state/route';
import {streams} from '../state/things';
import {State, Table} from '../ui/parts';
import {t} from '../text';

export function Health() {
    const pick = active.value;
    void second.value;
    if (!pick) return null;
    const rows = (streams.value ?? []).filter(s => isOf(s, pick));
    const now = Date.now();
    const age = (ns: string | null): string => {
        const at = ms(ns);
        return at === null ? t.none : duration(now - at);
    };
    return (
        <section class="panel health" aria-label={t.market.health}>
            <header class="panel-head"><h2>{t.market.health}</h2><span class="dim">{show(nameOf(pick))}</span></header>
            <Table label={t.market.health} rows={rows} keyOf={s => s.id} empty={t.market.noStreams} columns={[
                {head: t.streams.type, cell: s => <a href={href('streams', s.id)}>{show([s.type, ...Object.values(s.parameters ?? {})].join(' '))}</a>},
                {head: t.state, cell: s => <span title={show(s.why)}><State of={s.state} /></span>},
                {head: t.streams.since, num: true, narrow: false, cell: s => age(s.since)},
                {head: t.streams.lastRecv, num: true, cell: s => age(s.figures.last_ts_recv)},
                {head: t.streams.records, num: true, cell: s => count(s.figures.records)},
                {head: t.streams.gaps, num: true, cell: s => <span class={s.figures.gaps ? 'warn' : ''}>{count(s.figures.gaps)}</span>},
                {head: t.streams.restarts, num: true, cell: s => count(s.figures.restarts)},
            ]} />
        </section>
    );
}
