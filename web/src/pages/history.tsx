// History: what Weir has kept, a query over it, and its export.

import {useEffect, useState} from 'preact/hooks';
import {show} from '../lib/show';
import {count, msOf, octets, stamp} from '../lib/time';
import * as api from '../state/api';
import {history} from '../state/history';
import {connectionName} from '../state/layout';
import {go, href, route} from '../state/route';
import {connections} from '../state/things';
import type {Rec, Topic} from '../state/types';
import {gapText} from '../market/tape';
import {Button, Check, Field, Filter, Head, matches, Section, Stamp, Table, Trouble, Wait} from '../ui/parts';
import {t} from '../text';

const local = (at: number): string => {
    const d = new Date(at - new Date(at).getTimezoneOffset() * 60000);
    return d.toISOString().slice(0, 19);
};
const nsOf = (text: string): string | null => {
    const at = text ? Date.parse(text) : NaN;
    return Number.isNaN(at) ? null : String(BigInt(at) * 1000000n);
};

export function HistoryPage() {
    const [topics, setTopics] = useState<Topic[] | null>(null);
    const [bad, setBad] = useState('');
    const [filter, setFilter] = useState('');
    const load = (): Promise<void> => api.get<{topics: Topic[]}>('/v1/history/topics').then(a => setTopics(a.topics ?? []), e => setBad(api.why(e)));
    useEffect(() => { void load(); }, []);
    const pattern = route.value.more.get('pattern') ?? '', connection = route.value.more.get('connection') ?? 'any';
    const named = (x: Topic): string => (x.connection === null ? '' : connectionName(x.connection));
    const list = (topics ?? []).filter(x => matches(filter, x.topic, named(x)));
    const to = (x: Topic): Record<string, string> => ({pattern: x.topic, ...(x.connection === null ? {} : {connection: String(x.connection)})});
    return (
        <div class="page">
            <Head title={t.pages.history} note={topics && t.history.kept(count(topics.length), count(topics.reduce((n, x) => n + x.records, 0)), octets(topics.reduce((n, x) => n + x.octets, 0)))}>
                <Filter value={filter} onValue={setFilter} label={t.filter} />
                <Button onClick={load}>{t.refresh}</Button>
            </Head>
            <Query key={pattern + connection} pattern={pattern || '>'} connection={connection} />
            <Section title={t.history.topics}>
                <Wait what={topics} trouble={bad}>
                    <Table label={t.history.topics} rows={list.slice(0, 500)} keyOf={x => x.topic + '@' + x.connection} onOpen={x => go('history', '', to(x))} selected={pattern + '@' + (connection === 'any' ? null : connection)} empty={filter ? t.noMatch : t.history.none} columns={[
                        {head: t.history.topic, wide: true, cell: x => <a href={href('history', '', to(x))}>{show(x.topic)}</a>},
                        {head: t.connection, narrow: false, cell: x => <span class="dim">{show(named(x))}</span>},
                        {head: t.streams.records, num: true, cell: x => count(x.records)},
                        {head: t.history.size, num: true, narrow: false, cell: x => octets(x.octets)},
                        {head: t.history.first, narrow: false, cell: x => stamp(x.first)},
                        {head: t.history.last, narrow: false, cell: x => stamp(x.last)},
                        {head: t.seq, num: true, narrow: false, cell: x => show(x.last_seq)},
                    ]} />
                </Wait>
            </Section>
        </div>
    );
}

function Query({pattern: first, connection: whose}: {pattern: string; connection: string}) {
    const [connection, setConnection] = useState(whose);
    const [pattern, setPattern] = useState(first);
    const [from, setFrom] = useState(local(Date.now() - 3600000));
    const [to, setTo] = useState('');
    const [order, setOrder] = useState('desc');
    const [data, setData] = useState(true);
    const [gaps, setGaps] = useState(true);
    const [format, setFormat] = useState('ndjson');
    const [records, setRecords] = useState<Rec[] | null>(null);
    const [next, setNext] = useState<string | null>(null);
    const [bad, setBad] = useState('');
    const kinds = [data && 'data', gaps && 'gap'].filter(Boolean).join(',');
    const asked = {pattern, connection, from: nsOf(from), to: nsOf(to), order, kinds};
    const run = async (cursor: string | null): Promise<void> => {
        setBad('');
        try {
            const a = await history(asked, 200, cursor);
            setRecords(cursor ? [...(records ?? []), ...a.records] : a.records);
            setNext(a.next ?? null);
        } catch (error) {
            setBad(api.why(error));
        }
    };
    const file = `weir-${pattern.replace(/[^A-Za-z0-9_.-]+/g, '_')}.${format === 'csv' ? 'csv' : 'ndjson'}`;
    return (
        <Section title={t.history.query}>
            <form class="row" onSubmit={e => { e.preventDefault(); void run(null); }}>
                <Field label={t.history.pattern} value={pattern} onValue={setPattern} />
                <Field label={t.history.from} type="datetime-local" value={from} onValue={setFrom} />
                <Field label={t.history.to} type="datetime-local" value={to} onValue={setTo} />
                <Field label={t.connection} value={connection} onValue={setConnection} options={[['any', t.history.anyConnection], ...(connections.value ?? []).map(c => [String(c.id), c.name || '#' + c.id] as [string, string])]} />
                <Field label={t.history.order} value={order} onValue={setOrder} options={[['desc', t.history.newest], ['asc', t.history.oldest]]} />
                <Check label={t.history.data} value={data} onValue={setData} />
                <Check label={t.streams.gaps} value={gaps} onValue={setGaps} />
                <button type="submit" class="button main">{t.history.run}</button>
                <span class="export" role="group" aria-label={t.history.export}>
                    <select class="small" aria-label={t.history.format} value={format} onChange={e => setFormat(e.currentTarget.value)}><option value="ndjson">NDJSON</option><option value="csv">CSV</option></select>
                    <a class="button" href={'/v1/history' + api.query({...asked, order: 'asc', format})} download={file}>{t.history.export}</a>
                </span>
            </form>
            <p class="note">{t.history.patternNote}</p>
            <Trouble text={bad} />
            {records && <Table label={t.history.query} rows={records.map((r, i) => ({r, i}))} keyOf={x => x.i} empty={t.history.nothing} columns={[
                {head: t.history.received, cell: ({r}) => <Stamp of={r.ts_recv ?? r.ts_out} withMs />},
                {head: t.seq, num: true, cell: ({r}) => show(r.seq), narrow: false},
                {head: t.history.what, cell: ({r}) => show([r.type, r.identifier, ...Object.values(r.parameters ?? {})].join(' '))},
                {head: t.history.content, wide: true, cell: ({r}) => (r.kind === 'gap' ? <span class="warn">{t.gap}: {gapText(r)}</span> : <code class="cut">{content(r)}</code>)},
            ]} />}
            {next && <Button onClick={() => run(next)}>{t.history.more}</Button>}
        </Section>
    );
}

export function content(r: Rec): string {
    const d = r.data ?? {};
    if (r.type === 'trades') return show(`${d.side} ${d.size} @ ${d.price}`);
    if (r.type === 'bbo') return show(`${d.bid_size} × ${d.bid} / ${d.ask} × ${d.ask_size}`);
    if (r.type === 'ohlcv') return show(`${stamp(msOf(d.timestamp) ?? msOf(d.ts_event))} O ${d.open} H ${d.high} L ${d.low} C ${d.close} V ${d.volume}`);
    return show(JSON.stringify(d).slice(0, 400));
}
