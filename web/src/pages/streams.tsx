// Streams: what is wanted, what is, and why; start, stop, restart.

import {useEffect, useState} from 'preact/hooks';
import {show} from '../lib/show';
import {count, duration, ms, stamp} from '../lib/time';
import {gapText} from '../market/tape';
import * as api from '../state/api';
import {second} from '../state/feeds';
import * as live from '../state/live';
import {go, href, route} from '../state/route';
import {connectionName} from '../state/layout';
import {mayOperate} from '../state/session';
import {connections, plugins, refresh, streams, trouble} from '../state/things';
import type {Rec, Stream} from '../state/types';
import {content} from './history';
import {Button, Danger, Empty, Facts, Field, Figures, Filter, Head, matches, Section, Stamp, State, Table, Trouble, Wait} from '../ui/parts';
import {toast} from '../ui/toast';
import {t} from '../text';

const NEWEST = 40;

export function StreamsPage() {
    const id = route.value.id;
    if (id === 'new') return <NewStream />;
    const s = streams.value?.find(x => String(x.id) === id);
    if (id && s) return <StreamPage stream={s} />;
    if (id && streams.value) return <div class="page"><Empty>{t.streams.gone(id)} <a href={href('streams')}>{t.pages.streams}</a></Empty></div>;
    return <List />;
}

export function turn(s: Stream, on: boolean): Promise<void> {
    return api.patch('/v1/streams/' + s.id, {wanted: on ? 'on' : 'off'}).then(() => refresh('streams'));
}

function Switch({stream: s}: {stream: Stream}) {
    if (!mayOperate.value) return null;
    return <Button label={(s.wanted === 'on' ? t.streams.stop : t.streams.start) + ' ' + s.topic} onClick={() => turn(s, s.wanted !== 'on')}>{s.wanted === 'on' ? t.streams.stop : t.streams.start}</Button>;
}

function List() {
    const [filter, setFilter] = useState('');
    void second.value;
    const list = (streams.value ?? []).filter(s => matches(filter, s.type, s.identifier, s.plugin, s.parameters, s.state, connectionName(s.connection)));
    const now = Date.now();
    const by: Record<string, number> = {};
    for (const s of streams.value ?? []) by[s.state] = (by[s.state] ?? 0) + 1;
    return (
        <div class="page">
            <Head title={t.pages.streams} note={Object.entries(by).map(([state, n]) => <button type="button" class="chip" onClick={() => setFilter(filter === state ? '' : state)}>{count(n)} {show(state)}</button>)}>
                <Filter value={filter} onValue={setFilter} label={t.filter} />
                {mayOperate.value && <a class="button main" href={href('streams', 'new')}>{t.streams.add}</a>}
            </Head>
            <Wait what={streams.value} trouble={trouble.value}>
                <Table label={t.pages.streams} rows={list.slice(0, 1000)} keyOf={s => s.id} onOpen={s => go('streams', s.id)} empty={filter ? t.noMatch : t.streams.none} columns={[
                    {head: t.streams.type, cell: s => show([s.type, ...Object.values(s.parameters ?? {})].join(' '))},
                    {head: t.streams.identifier, wide: true, cell: s => <><a href={href('streams', s.id)}>{show(s.identifier)}</a>{s.wanted === 'on' && s.state !== 'live' && s.why && <small class="why">{show(s.why)}</small>}</>},
                    {head: t.connection, narrow: false, cell: s => <span class="dim" title={show(s.plugin)}>{show(connectionName(s.connection))}</span>},
                    {head: t.state, cell: s => <span title={show(s.why)}><State of={s.state} /></span>},
                    {head: t.streams.lastRecv, num: true, narrow: false, cell: s => (ms(s.figures.last_ts_recv) === null ? t.none : duration(now - ms(s.figures.last_ts_recv)!))},
                    {head: t.streams.records, num: true, narrow: false, cell: s => count(s.figures.records)},
                    {head: t.streams.gaps, num: true, narrow: false, cell: s => <span class={s.figures.gaps ? 'warn' : ''}>{count(s.figures.gaps)}</span>},
                    {head: t.streams.restarts, num: true, narrow: false, cell: s => count(s.figures.restarts)},
                    {head: '', cell: s => <Switch stream={s} />},
                ]} />
                {list.length > 1000 && <p class="note">{t.more(list.length - 1000)}</p>}
            </Wait>
        </div>
    );
}

function StreamPage({stream: s}: {stream: Stream}) {
    void second.value;
    const f = s.figures, c = connections.value?.find(x => x.id === s.connection);
    return (
        <div class="page">
            <p class="crumbs"><a href={href('streams')}>{t.pages.streams}</a></p>
            <Head title={show([s.type, s.identifier, ...Object.values(s.parameters ?? {})].join(' '))} note={<code>{show(s.topic)}</code>}>
                <State of={s.state} />
                {mayOperate.value && <>
                    <Switch stream={s} />
                    <Button onClick={() => api.post(`/v1/streams/${s.id}/restart`).then(() => { toast(t.streams.restarted); return refresh('streams'); })}>{t.streams.restart}</Button>
                    <Danger question={t.streams.removeAsk} onYes={() => api.del('/v1/streams/' + s.id).then(() => { go('streams'); return refresh('streams'); })}>{t.remove}</Danger>
                </>}
            </Head>
            {s.why && <p class={s.state === 'failed' ? 'trouble' : 'note why'}>{show(s.why)}</p>}
            <Figures items={[
                [t.streams.received, count(f.received)], [t.streams.records, count(f.records)], [t.streams.waiting, count(f.waiting)], [t.streams.gaps, count(f.gaps), f.gaps ? 'warn' : ''],
                [t.streams.restarts, count(f.restarts), f.restarts ? 'warn' : ''], [t.streams.doubles, count(f.doubles)], [t.streams.repeated, count(f.repeated)],
            ]} />
            <Facts rows={[
                [t.streams.wanted, show(s.wanted)], [t.streams.since, s.since ? `${stamp(s.since)} (${duration(Date.now() - (ms(s.since) ?? Date.now()))})` : ''],
                [t.connection, c ? <a href={href('connections', c.id)}>{show(c.name || '#' + c.id)}</a> : '#' + s.connection], [t.plugin, <a href={href('plugins', s.plugin)}>{show(s.plugin)}</a>],
                [t.streams.lastEvent, stamp(f.last_ts_event, true)], [t.streams.lastRecv, stamp(f.last_ts_recv, true)],
                [t.pages.history, <a href={href('history', '', {pattern: s.topic, connection: String(s.connection)})}>{t.streams.seeHistory}</a>],
            ]} />
            <Newest key={s.topic} stream={s} />
        </div>
    );
}

/** The last records as they come: one sees at once what a stream is. */
function Newest({stream: s}: {stream: Stream}) {
    const [list, setList] = useState<[number, Rec][]>([]);
    useEffect(() => {
        let fresh: [number, Rec][] = [], n = 0;
        const since = String(BigInt(Date.now() - 60000) * 1000000n);
        const release = live.want(s.topic, r => {
            fresh.push([++n, r]);
            if (fresh.length > NEWEST) fresh.shift();
        }, {since, connection: s.connection});
        const timer = window.setInterval(() => {
            if (!fresh.length) return;
            const add = fresh.reverse();
            fresh = [];
            setList(old => [...add, ...old].slice(0, NEWEST));
        }, 250);
        return () => {
            release();
            clearInterval(timer);
        };
    }, []);
    return (
        <Section title={t.streams.newest} id="newest">
            <Table label={t.streams.newest} rows={list} keyOf={([n]) => n} empty={t.streams.noNewest} columns={[
                {head: t.history.received, cell: ([, r]) => <Stamp of={r.ts_recv ?? r.ts_out} withMs />},
                {head: t.seq, num: true, narrow: false, cell: ([, r]) => show(r.seq)},
                {head: t.history.content, wide: true, cell: ([, r]) => (r.kind === 'gap' ? <span class="warn">{t.gap}: {gapText(r)}</span> : r.kind === 'status' ? <span class="dim">{show([r.state, r.why].filter(Boolean).join(': '))}</span> : <code class="cut">{content(r)}</code>)},
            ]} />
        </Section>
    );
}

const OTHER = '*'; // no type is called so

function objectOf(text: string): Record<string, unknown> {
    if (!text.trim()) return {};
    let value: unknown = null;
    try {
        value = JSON.parse(text);
    } catch { /* said below */ }
    if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new Error(t.streams.badJson);
    return value as Record<string, unknown>;
}

function NewStream() {
    const usable = connections.value ?? [];
    const [id, setId] = useState(route.value.more.get('connection') ?? String(usable[0]?.id ?? ''));
    const connection = usable.find(c => String(c.id) === id);
    const plugin = plugins.value?.find(p => p.id === connection?.plugin);
    const types = plugin?.stream_types ?? [];
    const [type, setType] = useState('');
    const [identifier, setIdentifier] = useState('');
    const [frame, setFrame] = useState('');
    const [bad, setBad] = useState('');
    const [other, setOther] = useState('');
    const [more, setMore] = useState('');
    const offered: [string, string][] = [...(types.length ? types : ['trades', 'ohlcv', 'bbo', 'orderbook', 'ticker']).map((x): [string, string] => [x, x]), [OTHER, t.streams.otherType]];
    const kind = type || offered[0]![0], chosen = kind === OTHER ? other.trim() : kind;
    const frames = chosen === 'ohlcv' ? plugin?.timeframes ?? [] : [];
    const send = async (): Promise<void> => {
        setBad('');
        try {
            const parameters = {...objectOf(more), ...(frames.length ? {timeframe: frame || frames[0]} : {})};
            const made = await api.post<Stream>('/v1/streams', {connection: Number(id), type: chosen, identifier: identifier.trim(), parameters});
            await refresh('streams');
            toast(t.streams.made);
            go('streams', made.id);
        } catch (error) {
            setBad(api.why(error));
        }
    };
    return (
        <div class="page narrow-page">
            <p class="crumbs"><a href={href('streams')}>{t.pages.streams}</a></p>
            <Head title={t.streams.add} />
            <Wait what={connections.value}>
                {!usable.length ? <Empty>{t.streams.noConnection} <a href={href('connections', 'new')}>{t.connections.add}</a></Empty> : (
                    <form class="form" onSubmit={e => { e.preventDefault(); void send(); }}>
                        <Field label={t.connection} value={id} onValue={setId} options={usable.map(c => [String(c.id), `${c.name || '#' + c.id} (${c.plugin})`] as [string, string])} />
                        <Field label={t.streams.type} value={kind} onValue={setType} options={offered} />
                        {kind === OTHER && <Field label={t.streams.typeName} value={other} onValue={setOther} required />}
                        <Field label={t.streams.identifier} value={identifier} onValue={setIdentifier} required note={t.streams.identifierNote} />
                        {frames.length > 0 && <Field label={t.market.frames} value={frame || frames[0]!} onValue={setFrame} options={frames} />}
                        <Field label={t.streams.more} value={more} onValue={setMore} note={t.streams.moreNote} />
                        <Trouble text={bad} />
                        <div class="row"><button type="submit" class="button main" disabled={!mayOperate.value}>{t.streams.create}</button><a class="button" href={href('streams')}>{t.cancel}</a></div>
                    </form>
                )}
            </Wait>
        </div>
    );
}
