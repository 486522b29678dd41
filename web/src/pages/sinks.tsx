// Sinks: where records go beside the readers of the API.

import {useState} from 'preact/hooks';
import {show} from '../lib/show';
import {count, duration, octets} from '../lib/time';
import * as api from '../state/api';
import {href, route} from '../state/route';
import {mayAdmin} from '../state/session';
import {connections, refresh, sinks, trouble} from '../state/things';
import type {Sink} from '../state/types';
import {Button, Danger, Field, Figures, Filter, Head, matches, Section, State, Table, Trouble, Wait} from '../ui/parts';
import {Dialog} from '../ui/dialog';
import {toast} from '../ui/toast';
import {t} from '../text';

const POLICIES = ['drop_oldest', 'newest_per_key', 'disconnect'];

export function SinksPage() {
    const [filter, setFilter] = useState('');
    const [editing, setEditing] = useState<Sink | 'new' | null>(null);
    const list = (sinks.value ?? []).filter(s => matches(filter, s.name, s.spec, s.pattern, s.state));
    const open = sinks.value?.find(s => String(s.id) === route.value.id);
    return (
        <div class="page">
            <Head title={t.pages.sinks} note={t.sinks.what}>
                <Filter value={filter} onValue={setFilter} label={t.filter} />
                {mayAdmin.value && <Button kind="main" onClick={() => setEditing('new')}>{t.sinks.add}</Button>}
            </Head>
            <Wait what={sinks.value} trouble={trouble.value}>
                <Table label={t.pages.sinks} rows={list} keyOf={s => s.id} onOpen={s => { location.hash = href('sinks', s.id); }} selected={open?.id ?? null} empty={filter ? t.noMatch : <Examples />} columns={[
                    {head: t.name, cell: s => <a href={href('sinks', s.id)}>{show(s.name || '#' + s.id)}</a>},
                    {head: t.sinks.spec, wide: true, cell: s => <><code>{show(s.spec)}</code>{s.enabled && s.state !== 'open' && s.why && <small class="why">{show(s.why)}</small>}</>},
                    {head: t.sinks.pattern, narrow: false, cell: s => <><code>{show(s.pattern)}</code>{s.connection !== null && <span class="dim"> {show(connectionName(s.connection))}</span>}</>},
                    {head: t.state, cell: s => <span title={show(s.why)}><State of={s.enabled ? s.state : 'disabled'} /></span>},
                    {head: t.sinks.written, num: true, cell: s => count(s.account?.written ?? s.account?.delivered ?? 0)},
                    {head: t.sinks.queued, num: true, narrow: false, cell: s => count((s.account?.queued ?? 0) + (s.account?.buffered ?? 0))},
                    {head: t.sinks.dropped, num: true, cell: s => count((s.account?.dropped ?? 0) + (s.account?.lost ?? 0))},
                ]} />
            </Wait>
            {open && (
                <Section title={show(open.name || open.spec)} actions={mayAdmin.value && <>
                    <Button onClick={() => api.patch('/v1/sinks/' + open.id, {enabled: !open.enabled}).then(() => refresh('sinks'))}>{open.enabled ? t.plugins.disable : t.plugins.enable}</Button>
                    <Button onClick={() => setEditing(open)}>{t.edit}</Button>
                    <Danger question={t.sinks.removeAsk} onYes={() => api.del('/v1/sinks/' + open.id).then(() => refresh('sinks'))}>{t.remove}</Danger>
                </>}>
                    {open.why && <p class={open.state === 'failed' ? 'trouble' : 'note why'}>{show(open.why)}</p>}
                    <Figures items={Object.entries(open.account ?? {}).map(([k, v]) => [t.sinks.account[k] ?? show(k), k === 'octets' ? octets(v) : k === 'lag_ms' ? duration(v) : count(v), (k === 'lost' || k === 'dropped') && v ? 'warn' : ''])} />
                </Section>
            )}
            {editing && <Edit sink={editing === 'new' ? null : editing} onClose={() => setEditing(null)} />}
        </div>
    );
}

function connectionName(id: number): string {
    const name = connections.value?.find(c => String(c.id) === String(id))?.name;
    return name ? `#${id} ${name}` : '#' + id;
}

/** Nothing yet: what would go in. */
function Examples() {
    return (
        <>
            <p>{t.sinks.none} {mayAdmin.value ? t.sinks.noneHow : t.sinks.noneWho}</p>
            <dl class="examples">{t.sinks.examples.map(([spec, what]) => <div><dt><code>{spec}</code></dt><dd>{what}</dd></div>)}</dl>
        </>
    );
}

function Edit({sink, onClose}: {sink: Sink | null; onClose: () => void}) {
    const [name, setName] = useState(sink?.name ?? '');
    const [spec, setSpec] = useState(sink?.spec ?? 'ndjson:records.ndjson');
    const [pattern, setPattern] = useState(sink?.pattern ?? '>');
    const [connection, setConnection] = useState(sink?.connection === null || !sink ? '' : String(sink.connection));
    const [policy, setPolicy] = useState(sink?.policy ?? 'drop_oldest');
    const [bad, setBad] = useState('');
    const ids = [...new Set([...(connections.value ?? []).map(c => String(c.id)), ...(connection ? [connection] : [])])];
    const send = async (): Promise<void> => {
        try {
            const typed: Record<string, unknown> = {name, spec, pattern, connection: connection ? Number(connection) : null, policy};
            // An address is answered without its password: what nobody touched is not sent back.
            const changed = Object.fromEntries(Object.entries(typed).filter(([k, v]) => !sink || v !== (sink[k as keyof Sink] ?? (k === 'connection' ? null : ''))));
            if (sink) await api.patch('/v1/sinks/' + sink.id, changed);
            else await api.post('/v1/sinks', typed);
            await refresh('sinks');
            toast(t.sinks.saved);
            onClose();
        } catch (error) {
            setBad(api.why(error));
        }
    };
    return (
        <Dialog title={sink ? t.edit : t.sinks.add} onClose={onClose}>
            <form class="form" onSubmit={e => { e.preventDefault(); void send(); }}>
                <Field label={t.name} value={name} onValue={setName} required />
                <Field label={t.sinks.spec} value={spec} onValue={setSpec} required note={t.sinks.specNote} />
                <Field label={t.sinks.pattern} value={pattern} onValue={setPattern} required note={t.history.patternNote} />
                <Field label={t.sinks.connection} value={connection} onValue={setConnection} options={[['', t.sinks.anyConnection], ...ids.map(id => [id, connectionName(Number(id))] as [string, string])]} note={t.sinks.connectionNote} />
                <Field label={t.sinks.policy} value={policy} onValue={setPolicy} options={POLICIES} note={t.sinks.policyNote} />
                <Trouble text={bad} />
                <div class="row"><button type="submit" class="button main">{t.save}</button><Button onClick={onClose}>{t.cancel}</Button></div>
            </form>
        </Dialog>
    );
}
