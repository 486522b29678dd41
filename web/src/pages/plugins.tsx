// Plugins: what is installed, and each one's page: permissions, figures, versions, traps, log.

import {useEffect, useState} from 'preact/hooks';
import {show, showLines} from '../lib/show';
import {count, duration, msOf, octets, stamp} from '../lib/time';
import * as api from '../state/api';
import {go, href, route} from '../state/route';
import {mayAdmin, mayOperate} from '../state/session';
import {connections, plugins, refresh, streams, trouble} from '../state/things';
import type {Plugin, Trap, Version} from '../state/types';
import {Button, Danger, Empty, Facts, Figures, Filter, Head, matches, Section, State, Table, Wait} from '../ui/parts';
import {toast} from '../ui/toast';
import {LogLines} from './log';
import {UploadZone} from './upload';
import {t} from '../text';

export function PluginsPage() {
    const id = route.value.id;
    const plugin = plugins.value?.find(p => p.id === id);
    if (id && plugin) return <PluginPage key={id} plugin={plugin} />;
    if (id && plugins.value) return <div class="page"><Empty>{t.plugins.gone(id)} <a href={href('plugins')}>{t.pages.plugins}</a></Empty></div>;
    return <Catalogue />;
}

const us = (n: number | null): string => (n === null || n === undefined ? t.none : n >= 10000 ? (n / 1000).toFixed(1) + ' ms' : n < 10 && !Number.isInteger(n) ? n.toFixed(1) + ' µs' : count(Math.round(n)) + ' µs');

function Catalogue() {
    const [filter, setFilter] = useState('');
    const list = (plugins.value ?? []).filter(p => matches(filter, p.id, p.name, p.state, p.description));
    return (
        <div class="page">
            <Head title={t.pages.plugins}><Filter value={filter} onValue={setFilter} label={t.filter} /></Head>
            {mayAdmin.value && <UploadZone />}
            <Wait what={plugins.value} trouble={trouble.value}>
                <Table label={t.pages.plugins} rows={list} keyOf={p => p.id} onOpen={p => go('plugins', p.id)} empty={filter ? t.noMatch : t.plugins.none} columns={[
                    {head: t.name, wide: true, cell: p => <><a href={href('plugins', p.id)}>{show(p.name || p.id)}</a> <span class="dim">{show(p.version)}</span>{p.pending && <span class="tag warn">{t.plugins.pendingTag}</span>}</>},
                    {head: t.state, cell: p => <State of={p.state} />},
                    {head: t.plugins.streams, num: true, cell: p => count(p.figures.streams)},
                    {head: t.plugins.messages, num: true, narrow: false, cell: p => count(p.figures.messages)},
                    {head: t.plugins.p50, num: true, narrow: false, cell: p => us(p.figures.call_p50_us)},
                    {head: t.plugins.p99, num: true, narrow: false, cell: p => us(p.figures.call_p99_us)},
                    {head: t.plugins.cpu, num: true, narrow: false, cell: p => (p.figures.cpu_ms === null ? t.none : duration(p.figures.cpu_ms))},
                    {head: t.plugins.memory, num: true, narrow: false, cell: p => (p.figures.memory_octets === null ? t.none : octets(p.figures.memory_octets))},
                    {head: t.plugins.traps, num: true, cell: p => <span class={p.figures.traps ? 'warn' : ''}>{count(p.figures.traps)}</span>},
                    {head: t.plugins.restarts, num: true, narrow: false, cell: p => count(p.figures.restarts)},
                ]} />
            </Wait>
        </div>
    );
}

function act(p: Plugin, what: string, body?: unknown): Promise<void> {
    return api.post(`/v1/plugins/${api.enc(p.id)}/${what}`, body).then(() => refresh('plugins', 'streams', 'connections'));
}

/** Messages a second, from the figures of two moments. */
function useRate(value: number): number | null {
    const [rate, setRate] = useState<number | null>(null);
    const [before] = useState<{at: number; value: number}>({at: Date.now(), value});
    useEffect(() => {
        const now = Date.now();
        if (now - before.at < 1500) return;
        setRate(Math.max(0, (value - before.value) * 1000 / (now - before.at)));
        before.at = now;
        before.value = value;
    }, [value]);
    return rate;
}

function PluginPage({plugin: p}: {plugin: Plugin}) {
    const f = p.figures;
    const messages = useRate(f.messages), calls = useRate(f.calls);
    useEffect(() => {
        const timer = window.setInterval(() => void refresh('plugins'), 3000);
        return () => clearInterval(timer);
    }, []);
    const mine = (connections.value ?? []).filter(c => c.plugin === p.id);
    const [back, setBack] = useState<Version | null>(null);
    const rate = (n: number | null): string => (n === null ? '' : n.toFixed(n < 10 ? 1 : 0) + '/s');
    return (
        <div class="page">
            <p class="crumbs"><a href={href('plugins')}>{t.pages.plugins}</a></p>
            <Head title={show(p.name || p.id)} note={show(p.description)}>
                <State of={p.state} />
                {mayOperate.value && <>
                    <Button onClick={() => act(p, p.enabled ? 'disable' : 'enable')}>{p.enabled ? t.plugins.disable : t.plugins.enable}</Button>
                    <Button onClick={() => act(p, 'reload').then(() => toast(t.plugins.reloaded))}>{t.plugins.reload}</Button>
                </>}
                {mayAdmin.value && <Danger question={t.plugins.removeAsk(mine.length)} onYes={() => api.del(`/v1/plugins/${api.enc(p.id)}${mine.length ? '?force=1' : ''}`).then(() => { go('plugins'); return refresh('plugins', 'connections', 'streams'); })}>{t.remove}</Danger>}
            </Head>
            {p.why && <p class={p.state === 'failed' ? 'trouble' : 'note why'}>{show(p.why)}</p>}
            {p.pending && <Pending key={p.pending.sha256} plugin={p} what={p.pending} onNo={() => act(p, 'reject').then(() => toast(t.plugins.rejected))} no={t.plugins.reject} />}
            {back && <Pending key={back.sha256} plugin={p} what={back} onDone={() => setBack(null)} onNo={() => setBack(null)} no={t.cancel} />}
            <Figures items={[
                [t.plugins.streams, count(f.streams)], [t.plugins.messages, <>{count(f.messages)} <small>{rate(messages)}</small></>], [t.plugins.records, count(f.records)],
                [t.plugins.calls, <>{count(f.calls)} <small>{rate(calls)}</small></>], [t.plugins.p50, us(f.calls ? f.call_p50_us : null)], [t.plugins.p99, us(f.calls ? f.call_p99_us : null)],
                [t.plugins.cpu, f.cpu_ms === null ? t.none : duration(f.cpu_ms)],
                [t.plugins.memory, <>{f.memory_octets === null ? t.none : octets(f.memory_octets)} <small>{f.memory_limit_octets ? t.plugins.ofLimit(octets(f.memory_limit_octets)) : ''}</small></>],
                [t.plugins.gaps, count(f.gaps), f.gaps ? 'warn' : ''], [t.plugins.traps, count(f.traps), f.traps ? 'bad' : ''], [t.plugins.restarts, count(f.restarts), f.restarts ? 'warn' : ''],
            ]} />
            <div class="columns">
                <Section title={t.plugins.permissions}>
                    <List items={p.grants} empty={t.plugins.noGrants} mark="" />
                </Section>
                <Section title={t.pages.connections} actions={mayOperate.value && <a class="button" href={href('connections', 'new', {plugin: p.id})}>{t.plugins.connect}</a>}>
                    <Table label={t.pages.connections} rows={mine} keyOf={c => c.id} onOpen={c => go('connections', c.id)} empty={t.plugins.noConnections} columns={[
                        {head: t.name, cell: c => <a href={href('connections', c.id)}>{show(c.name || '#' + c.id)}</a>},
                        {head: t.state, cell: c => <State of={c.state} />},
                        {head: t.plugins.streams, num: true, cell: c => count(c.streams)},
                    ]} />
                </Section>
            </div>
            <Section title={t.plugins.versions}>
                <Table label={t.plugins.versions} rows={p.versions} keyOf={v => v.sha256} columns={[
                    {head: t.plugins.version, cell: v => <>{show(v.version)} {v.active && <span class="tag good">{t.plugins.active}</span>}{v.sha256 === p.pending?.sha256 && <span class="tag warn">{t.plugins.waits}</span>}</>},
                    {head: t.plugins.file, cell: v => show(v.file_name), narrow: false},
                    {head: t.plugins.hash, cell: v => <code title={v.sha256}>{v.sha256.slice(0, 12)}</code>},
                    {head: t.plugins.size, num: true, cell: v => octets(v.size)},
                    {head: t.plugins.installed, cell: v => stamp(v.installed_at), narrow: false},
                    {head: '', cell: v => mayAdmin.value && !v.active && v.sha256 !== p.pending?.sha256 && <Button onClick={() => (v.adds.length ? setBack(v) : act(p, 'rollback', {sha256: v.sha256}).then(() => toast(t.plugins.rolledBack(v.version))))}>{t.plugins.rollback}</Button>},
                ]} />
            </Section>
            <Traps plugin={p} />
            <Section title={t.plugins.offers}>
                <Facts rows={[
                    [t.plugins.id, <code>{show(p.id)}</code>], [t.plugins.generation, show(p.generation)], [t.plugins.types, show(p.stream_types.join(', '))],
                    [t.plugins.timeframes, show(p.timeframes.join(', '))], [t.plugins.commands, show(p.commands.join(', '))],
                    [t.plugins.fields, show(p.fields.map(x => x.label || x.name).join(', '))],
                ]} />
            </Section>
            <Section title={t.pages.log}><LogLines part={p.id} aliases={(streams.value ?? []).filter(s => s.plugin === p.id).map(s => s.topic)} /></Section>
        </div>
    );
}

function List({items, empty, mark}: {items: string[]; empty: string; mark: string}) {
    if (!items.length) return <p class="note">{empty}</p>;
    return <ul class={'urls ' + mark}>{items.map(x => <li><code>{show(x)}</code></li>)}</ul>;
}

type Wanting = NonNullable<Plugin['pending']>;

/** What another version asks for beside what was granted: to approve, to take in part, to turn down. */
function Pending({plugin: p, what: pending, onDone, onNo, no}: {plugin: Plugin; what: Wanting; onDone?: () => void; onNo: () => unknown; no: string}) {
    const [refused, setRefused] = useState<string[]>([]);
    const kept = pending.asks.filter(x => !pending.adds.includes(x));
    const allow = pending.asks.filter(x => !refused.includes(x));
    return (
        <section class="approve" aria-label={t.plugins.approveTitle}>
            <h2>{t.plugins.asksFor(show(p.name || p.id), show(pending.version))}</h2>
            <p class="note">{t.plugins.asksNote}</p>
            <ul class="asks">
                {pending.adds.map(x => (
                    <li class="add"><label class="check">
                        <input type="checkbox" checked={!refused.includes(x)} disabled={!mayAdmin.value} onChange={e => setRefused(e.currentTarget.checked ? refused.filter(y => y !== x) : [...refused, x])} />
                        <span><span class="tag warn">{t.plugins.new}</span> <code>{show(x)}</code></span>
                    </label></li>
                ))}
                {kept.map(x => <li><span class="tag">{t.plugins.kept}</span> <code>{show(x)}</code></li>)}
                {pending.removes.map(x => <li class="gone"><span class="tag">{t.plugins.dropped}</span> <code>{show(x)}</code></li>)}
            </ul>
            {!pending.asks.length && <p>{t.plugins.asksNothing}</p>}
            {mayAdmin.value ? (
                <div class="row">
                    <Button kind="main" onClick={() => act(p, 'approve', {sha256: pending.sha256, allow: refused.length ? allow : null}).then(() => { toast(t.plugins.approved); onDone?.(); })}>{refused.length ? t.plugins.approveSome(allow.length, pending.asks.length) : t.plugins.approve}</Button>
                    <Button kind="danger" onClick={onNo}>{no}</Button>
                </div>
            ) : <p class="note">{t.plugins.adminApproves}</p>}
        </section>
    );
}

function Traps({plugin: p}: {plugin: Plugin}) {
    const [traps, setTraps] = useState<Trap[] | null>(null);
    const [bad, setBad] = useState('');
    useEffect(() => {
        api.get<{traps: Trap[]}>(`/v1/plugins/${api.enc(p.id)}/traps`).then(a => setTraps(a.traps ?? []), e => setBad(api.why(e)));
    }, [p.id, p.figures.traps]);
    return (
        <Section title={t.plugins.lastTraps}>
            <Wait what={traps} trouble={bad}>
                {traps?.length ? traps.map((x, i) => <TrapView trap={x} open={i === 0} />) : <p class="note">{t.plugins.noTraps}</p>}
            </Wait>
        </Section>
    );
}

function TrapView({trap: x, open}: {trap: Trap; open: boolean}) {
    const trace = Array.isArray(x.backtrace) ? x.backtrace.join('\n') : x.backtrace ?? '';
    const at = msOf(x.time);
    const time = at === null ? String(x.time ?? '') : stamp(at, true);
    return (
        <details class="trap" open={open}>
            <summary><span class="dim">{show(time)}</span> <b>{show(x.trap)}</b> <span class="dim">{show([x.export, x.then].filter(Boolean).join(' · '))}</span></summary>
            <Facts rows={[
                [t.plugins.trapStream, show(x.topic || x.stream)], [t.plugins.trapExport, show(x.export)], [t.plugins.trapThen, show(x.then)], [t.plugins.version, show(x.version)],
            ]} />
            {trace && <><h3>{t.plugins.backtrace}</h3><pre tabIndex={0}>{showLines(trace)}</pre></>}
            {x.message && <><h3>{t.plugins.trapMessage}</h3><pre tabIndex={0}>{showLines(x.message)}</pre></>}
            {x.input && <><h3>{t.plugins.trapInput}</h3><pre tabIndex={0}>{showLines(x.input)}</pre></>}
            {x.calls && x.calls.length > 0 && <><h3>{t.plugins.trapCalls}</h3>
                <Table label={t.plugins.trapCalls} rows={x.calls.map((c, i) => ({...c, i}))} keyOf={c => c.i} columns={[
                    {head: t.name, cell: c => <code>{show(c.name)}</code>}, {head: t.plugins.took, num: true, cell: c => (c.ms === undefined ? '' : us(c.ms * 1000))}, {head: t.plugins.outcome, wide: true, cell: c => show(c.outcome)},
                ]} /></>}
        </details>
    );
}
