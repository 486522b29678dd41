// Settings: how this node was started, tokens, this browser's theme, what the pages are made with.

import {useEffect, useState} from 'preact/hooks';
import {show} from '../lib/show';
import {duration, octets, stamp} from '../lib/time';
import * as api from '../state/api';
import {setTheme, theme, type Theme} from '../state/prefs';
import {logout, mayAdmin, session} from '../state/session';
import {node} from '../state/things';
import type {Scope, Setting, Token} from '../state/types';
import {Button, Danger, Facts, Field, Filter, Head, matches, Section, State, Table, Trouble, Wait} from '../ui/parts';
import {t} from '../text';

const THEMES: Theme[] = ['system', 'dark', 'light'];

export function SettingsPage() {
    const [list, setList] = useState<Setting[] | null>(null);
    const [bad, setBad] = useState('');
    const [filter, setFilter] = useState('');
    useEffect(() => {
        api.get<{settings: Setting[]}>('/v1/settings').then(a => setList(a.settings ?? []), e => setBad(api.why(e)));
    }, []);
    const n = node.value;
    return (
        <div class="page">
            <Head title={t.pages.settings} />
            <div class="columns">
                <Section title={t.settings.you} actions={<Button onClick={logout}>{t.settings.logout}</Button>}>
                    <Facts rows={[[t.name, show(session.value?.name)], [t.settings.scope, show(session.value?.scope)]]} />
                    <div class="row" role="group" aria-label={t.settings.theme}>
                        <span class="label">{t.settings.theme}</span>
                        {THEMES.map(x => <Button pressed={theme.value === x} onClick={() => setTheme(x)}>{t.settings.themes[x]}</Button>)}
                    </div>
                </Section>
                <Section title={t.settings.node}>
                    {n && <Facts rows={[
                        [t.name, show(n.name)], [t.settings.version, show(n.version)], [t.settings.uptime, duration(n.uptime_s * 1000)], [t.plugins.memory, octets(n.memory_octets)],
                        [t.plugins.cpu, duration(n.cpu_ms)], [t.settings.store, <><State of={n.store.state} /> {show(n.store.why)}</>],
                        [t.settings.storeSize, octets(n.store.octets)], [t.settings.historySize, octets(n.store.history_octets)],
                    ]} />}
                </Section>
            </div>
            {mayAdmin.value && <Tokens />}
            <Section title={t.settings.all} actions={<Filter value={filter} onValue={setFilter} label={t.filter} />}>
                <Wait what={list} trouble={bad}>
                    <Table label={t.settings.all} rows={(list ?? []).filter(s => matches(filter, s.name, s.value, s.help))} keyOf={s => s.name} empty={filter ? t.noMatch : t.nothing} columns={[
                        {head: t.name, cell: s => <code>{show(s.name)}</code>},
                        {head: t.settings.value, wrap: true, cell: s => <code>{show(s.value)}</code>},
                        {head: t.settings.source, cell: s => <span class={s.source === 'default' ? 'dim' : ''}>{show(s.source)}</span>},
                        {head: t.settings.help, wide: true, narrow: false, cell: s => <span class="dim">{show(s.help)}</span>},
                    ]} />
                </Wait>
            </Section>
            <Section title={t.settings.about}>
                <p class="note">{t.settings.charts} <a href="https://www.tradingview.com/" rel="noreferrer noopener" target="_blank">TradingView Lightweight Charts™</a>. {t.settings.chartsNotice} <a href="/licenses.txt">{t.settings.licences}</a></p>
                <p class="note"><a href="/v1/openapi.json">{t.settings.openapi}</a></p>
            </Section>
        </div>
    );
}

function Tokens() {
    const [list, setList] = useState<Token[] | null>(null);
    const [bad, setBad] = useState('');
    const [name, setName] = useState('');
    const [scope, setScope] = useState<Scope>('read');
    const [days, setDays] = useState('90');
    const [made, setMade] = useState<Token | null>(null);
    const load = (): Promise<void> => api.get<{tokens: Token[]}>('/v1/tokens').then(a => setList(a.tokens ?? []), e => setBad(api.why(e)));
    useEffect(() => { void load(); }, []);
    const make = async (): Promise<void> => {
        setBad('');
        try {
            const expires = Number(days) > 0 ? {expires_at: String(BigInt(Math.round(Date.now() + Number(days) * 86400000)) * 1000000n)} : {};
            setMade(await api.post<Token>('/v1/tokens', {name, scope, ...expires}));
            setName('');
            await load();
        } catch (error) {
            setBad(api.why(error));
        }
    };
    return (
        <Section title={t.settings.tokens}>
            <form class="row" onSubmit={e => { e.preventDefault(); void make(); }}>
                <Field label={t.name} value={name} onValue={setName} required />
                <Field label={t.settings.scope} value={scope} onValue={v => setScope(v as Scope)} options={['read', 'operate', 'admin']} />
                <Field label={t.settings.days} value={days} onValue={setDays} type="number" />
                <button type="submit" class="button main">{t.settings.makeToken}</button>
            </form>
            <Trouble text={bad} />
            {made?.token && (
                <div class="once" role="status">
                    <p>{t.settings.once}</p>
                    <code tabIndex={0}>{made.token}</code>
                    <Button onClick={() => navigator.clipboard.writeText(made.token!)}>{t.settings.copy}</Button>
                    <Button onClick={() => setMade(null)}>{t.close}</Button>
                </div>
            )}
            <Wait what={list} trouble={bad}>
                <Table label={t.settings.tokens} rows={list ?? []} keyOf={x => x.id} columns={[
                    {head: t.name, wide: true, cell: x => show(x.name)}, {head: t.settings.scope, cell: x => show(x.scope)},
                    {head: t.connections.created, narrow: false, cell: x => stamp(x.created_at)}, {head: t.settings.expires, cell: x => stamp(x.expires_at) || t.settings.never},
                    {head: '', cell: x => <Danger question={t.settings.revokeAsk} onYes={() => api.del('/v1/tokens/' + x.id).then(load)}>{t.settings.revoke}</Danger>},
                ]} />
            </Wait>
        </Section>
    );
}
