// Connections: a plugin with its settings. The form is the plugin's own list of fields; secrets go in and never come out.

import {useState} from 'preact/hooks';
import {show} from '../lib/show';
import {count, octets, stamp} from '../lib/time';
import * as api from '../state/api';
import {go, href, route} from '../state/route';
import {mayOperate} from '../state/session';
import {connections, plugins, refresh, streams, trouble} from '../state/things';
import type {Connection, Field as FormField, Plugin} from '../state/types';
import {Button, Check, Danger, Empty, Facts, Field, Filter, Head, matches, Section, State, Table, Trouble, Wait} from '../ui/parts';
import {toast} from '../ui/toast';
import {t} from '../text';

export function ConnectionsPage() {
    const id = route.value.id;
    if (id === 'new') return <NewConnection key={'new' + route.value.more.get('plugin')} />;
    const c = connections.value?.find(x => String(x.id) === id);
    if (id && c) return <ConnectionPage key={id} connection={c} />;
    if (id && connections.value) return <div class="page"><Empty>{t.connections.gone(id)} <a href={href('connections')}>{t.pages.connections}</a></Empty></div>;
    return <List />;
}

function List() {
    const [filter, setFilter] = useState('');
    const list = (connections.value ?? []).filter(c => matches(filter, c.name, c.plugin, c.state));
    return (
        <div class="page">
            <Head title={t.pages.connections}>
                <Filter value={filter} onValue={setFilter} label={t.filter} />
                {mayOperate.value && <a class="button main" href={href('connections', 'new')}>{t.connections.add}</a>}
            </Head>
            <Wait what={connections.value} trouble={trouble.value}>
                <Table label={t.pages.connections} rows={list} keyOf={c => c.id} onOpen={c => go('connections', c.id)} empty={filter ? t.noMatch : t.connections.none} columns={[
                    {head: '#', num: true, cell: c => c.id},
                    {head: t.name, wide: true, cell: c => <a href={href('connections', c.id)}>{show(c.name || t.connections.unnamed)}</a>},
                    {head: t.plugin, cell: c => <a href={href('plugins', c.plugin)}>{show(c.plugin)}</a>},
                    {head: t.state, cell: c => <span title={show(c.why)}><State of={c.state} /></span>},
                    {head: t.plugins.streams, num: true, cell: c => count(c.streams)},
                    {head: t.connections.changed, narrow: false, cell: c => stamp(c.updated_at)},
                ]} />
            </Wait>
        </div>
    );
}

// ---- The form of a plugin's fields ----

type Values = Record<string, string>; // as typed; a secret that is not touched is not in it

function typed(field: FormField, value: string): unknown {
    if (field.type === 'boolean' || field.type === 'bool') return value === 'true';
    if ((field.type === 'number' || field.type === 'integer') && value.trim() !== '' && Number.isFinite(Number(value))) return Number(value);
    return value;
}

function optionsOf(field: FormField): [string, string][] | undefined {
    if (!field.options?.length) return undefined;
    const list = field.options.map((o): [string, string] => {
        if (o && typeof o === 'object') {
            const {value, label, name} = o as {value?: unknown; label?: unknown; name?: unknown};
            return [String(value ?? name ?? label), String(label ?? name ?? value)];
        }
        return [String(o), String(o)];
    });
    return [['', t.choose], ...list];
}

function Form({fields, values, set, secrets}: {fields: FormField[]; values: Values; set: (v: Values) => void; secrets: string[]}) {
    if (!fields.length) return <p class="note">{t.connections.noFields}</p>;
    return (
        <>
            {fields.map(f => {
                const label = show(f.label || f.name), value = values[f.name] ?? '';
                const change = (v: string): void => set({...values, [f.name]: v});
                if (f.type === 'boolean' || f.type === 'bool') return <Check label={label} value={value === 'true'} onValue={v => change(String(v))} />;
                const kept = secrets.includes(f.name), secret = isSecret(f);
                const long = f.mask ? 'password' : f.type === 'number' || f.type === 'integer' ? 'text' : f.type === 'textarea' ? 'area' : 'text';
                return <Field label={label} value={value} onValue={change} type={long} options={f.mask ? undefined : optionsOf(f)} required={f.required && !kept}
                    placeholder={kept && secret ? t.connections.secretKept : f.default === undefined || f.default === null ? '' : show(f.default)}
                    autocomplete={f.mask ? 'new-password' : 'off'}
                    note={[show(f.description ?? '').replace(/([^.!?])$/, '$1.'), secret ? (kept ? t.connections.secretNoteKept : t.connections.secretNote) : ''].filter(Boolean).join(' ')} />;
            })}
        </>
    );
}

/** Goes in and never comes out. */
const isSecret = (f: FormField): boolean => !!f.mask || !!f.encrypt;

/** What is sent: of fields that were filled in. */
function configOf(fields: FormField[], values: Values): Record<string, unknown> {
    const out: Record<string, unknown> = {};
    for (const f of fields) {
        const v = values[f.name];
        if (v !== undefined && v !== '') out[f.name] = typed(f, v);
    }
    return out;
}

function NewConnection() {
    const list = (plugins.value ?? []).filter(p => p.state !== 'failed');
    const [id, setId] = useState(route.value.more.get('plugin') ?? list[0]?.id ?? '');
    const [name, setName] = useState('');
    const [values, setValues] = useState<Values>({});
    const [bad, setBad] = useState('');
    const plugin = plugins.value?.find(p => p.id === id) ?? (id ? undefined : list[0]);
    const send = async (): Promise<void> => {
        setBad('');
        const missing = plugin!.fields.filter(f => f.required && !values[f.name] && (f.default === undefined || f.default === null)).map(f => f.label || f.name);
        if (missing.length) return setBad(t.connections.missing(missing.join(', ')));
        try {
            const made = await api.post<Connection>('/v1/connections', {plugin: plugin!.id, ...(name ? {name} : {}), config: configOf(plugin!.fields, values)});
            await refresh('connections', 'plugins');
            toast(t.connections.made);
            go('connections', made.id);
        } catch (error) {
            setBad(api.why(error));
        }
    };
    return (
        <div class="page narrow-page">
            <p class="crumbs"><a href={href('connections')}>{t.pages.connections}</a></p>
            <Head title={t.connections.add} />
            <Wait what={plugins.value}>
                {!list.length ? <Empty>{t.connections.noPlugin} <a href={href('plugins')}>{t.pages.plugins}</a></Empty> : (
                    <form class="form" onSubmit={e => { e.preventDefault(); void send(); }}>
                        <Field label={t.plugin} value={plugin?.id ?? ''} onValue={v => { setId(v); setValues({}); }} options={list.map(p => [p.id, p.name || p.id] as [string, string])} />
                        <Field label={t.name} value={name} onValue={setName} note={t.connections.nameNote} />
                        {plugin && <Form fields={plugin.fields} values={values} set={setValues} secrets={[]} />}
                        <Trouble text={bad} />
                        <div class="row"><button type="submit" class="button main" disabled={!plugin || !mayOperate.value}>{t.connections.create}</button><a class="button" href={href('connections')}>{t.cancel}</a></div>
                    </form>
                )}
            </Wait>
        </div>
    );
}

function initial(c: Connection): Values {
    const out: Values = {};
    for (const [name, value] of Object.entries(c.config ?? {})) if (value !== null) out[name] = typeof value === 'object' ? JSON.stringify(value) : String(value);
    return out;
}

function ConnectionPage({connection: c}: {connection: Connection}) {
    const plugin = plugins.value?.find(p => p.id === c.plugin);
    const [name, setName] = useState(c.name);
    const [values, setValues] = useState<Values>(initial(c));
    const [clear, setClear] = useState<string[]>([]);
    const [bad, setBad] = useState('');
    const [test, setTest] = useState<{ok: boolean; why: string; took_ms: number} | null>(null);
    const path = '/v1/connections/' + c.id;
    const save = async (): Promise<void> => {
        setBad('');
        const config: Record<string, unknown> = plugin ? configOf(plugin.fields, values) : {};
        for (const f of plugin?.fields ?? []) if (!isSecret(f) && values[f.name] === '' && c.config[f.name] !== undefined) config[f.name] = null;
        for (const f of clear) config[f] = null;
        try {
            await api.patch(path, {...(name !== c.name ? {name} : {}), config});
            for (const f of plugin?.fields ?? []) if (isSecret(f)) delete values[f.name];
            setValues({...values});
            setClear([]);
            await refresh('connections');
            toast(t.connections.saved);
        } catch (error) {
            setBad(api.why(error));
        }
    };
    const mine = (streams.value ?? []).filter(s => s.connection === c.id);
    return (
        <div class="page">
            <p class="crumbs"><a href={href('connections')}>{t.pages.connections}</a></p>
            <Head title={show(c.name || `${c.plugin} #${c.id}`)} note={<>{t.plugin}: <a href={href('plugins', c.plugin)}>{show(plugin?.name ?? c.plugin)}</a></>}>
                <State of={c.state} />
                {mayOperate.value && <>
                    <Button onClick={() => api.post<{ok: boolean; why: string; took_ms: number}>(path + '/test').then(setTest)}>{t.connections.test}</Button>
                    <Button onClick={() => api.patch(path, {enabled: !c.enabled}).then(() => refresh('connections', 'streams'))}>{c.enabled ? t.plugins.disable : t.plugins.enable}</Button>
                    <Danger question={t.connections.removeAsk(mine.length)} onYes={() => api.del(path + (mine.length ? '?force=1' : '')).then(() => { go('connections'); return refresh('connections', 'streams', 'plugins'); })}>{t.remove}</Danger>
                </>}
            </Head>
            {c.why && <p class={c.state === 'failed' || c.state === 'invalid' ? 'trouble' : 'note why'}>{show(c.why)}</p>}
            {test && <p class={test.ok ? 'good-note' : 'trouble'} role="status">{test.ok ? t.connections.testOk(test.took_ms) : t.connections.testBad} {show(test.why)}</p>}
            <div class="columns">
                <Section title={t.connections.settings}>
                    <form class="form" onSubmit={e => { e.preventDefault(); void save(); }}>
                        <Field label={t.name} value={name} onValue={setName} />
                        <Form fields={plugin?.fields ?? []} values={values} set={setValues} secrets={c.secrets_set ?? []} />
                        {(c.secrets_set ?? []).map(s => <Check label={t.connections.forget(plugin?.fields.find(f => f.name === s)?.label || s)} value={clear.includes(s)} onValue={v => setClear(v ? [...clear, s] : clear.filter(x => x !== s))} />)}
                        <Trouble text={bad} />
                        <div class="row"><button type="submit" class="button main" disabled={!mayOperate.value}>{t.save}</button></div>
                    </form>
                </Section>
                <Section title={t.pages.streams} actions={mayOperate.value && <a class="button" href={href('streams', 'new', {connection: String(c.id)})}>{t.streams.add}</a>}>
                    <Table label={t.pages.streams} rows={mine} keyOf={s => s.id} onOpen={s => go('streams', s.id)} empty={t.connections.noStreams} columns={[
                        {head: t.streams.stream, wide: true, cell: s => <a href={href('streams', s.id)}>{show([s.type, s.identifier, ...Object.values(s.parameters ?? {})].join(' '))}</a>},
                        {head: t.state, cell: s => <State of={s.state} />},
                    ]} />
                    <Facts rows={[[t.connections.created, stamp(c.created_at)], [t.connections.changed, stamp(c.updated_at)]]} />
                </Section>
            </div>
            {plugin && mayOperate.value && <Commands connection={c} plugin={plugin} />}
        </div>
    );
}

/** Any command of the plugin, asked by hand; how long it took and waited for the rate limit. */
function Commands({connection: c, plugin}: {connection: Connection; plugin: Plugin}) {
    const [name, setName] = useState(plugin.commands[0] ?? 'getMarkets');
    const [params, setParams] = useState('{}');
    const [fresh, setFresh] = useState(false);
    const [answer, setAnswer] = useState<{result: unknown; took_ms: unknown; waited_ms: unknown} | null>(null);
    const [bad, setBad] = useState('');
    const run = async (): Promise<void> => {
        setBad('');
        setAnswer(null);
        try {
            setAnswer(await api.postKeeping(`/v1/connections/${c.id}/commands/${api.enc(name)}${fresh ? '?fresh=1' : ''}`, JSON.parse(params || '{}')));
        } catch (error) {
            setBad(api.why(error));
        }
    };
    const rows = Array.isArray(answer?.result) ? (answer.result as unknown[]) : null;
    const objects = rows?.length && rows.every(r => r && typeof r === 'object' && !Array.isArray(r)) ? (rows as Record<string, unknown>[]) : null;
    const text = answer && !objects ? JSON.stringify(answer.result, null, 2) : '';
    return (
        <Section title={t.connections.commands}>
            <div class="row">
                <Field label={t.connections.command} value={name} onValue={setName} options={plugin.commands.length ? plugin.commands : ['getMarkets', 'getTimeframes', 'getOHLCV']} />
                <Field label={t.connections.parameters} value={params} onValue={setParams} />
                <Check label={t.connections.fresh} value={fresh} onValue={setFresh} />
                <Button kind="main" onClick={run}>{t.connections.run}</Button>
            </div>
            <Trouble text={bad} />
            {answer && <p class="note" role="status">{t.connections.took(String(answer.took_ms), String(answer.waited_ms))}{rows && ' ' + t.connections.rows(rows.length)} {!objects && text.length > 100000 && octets(text.length)}</p>}
            {objects && <Table label={t.connections.command} rows={objects.slice(0, 500).map((r, i) => ({r, i}))} keyOf={x => x.i}
                columns={Object.keys(objects[0]!).slice(0, 12).map(k => ({head: k, cell: (x: {r: Record<string, unknown>}) => show(x.r[k])}))} />}
            {text && <pre tabIndex={0}>{show(text.slice(0, 100000)).replace(/\\n/g, '\n')}</pre>}
        </Section>
    );
}
