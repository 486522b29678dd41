// The audit: who asked for what, and what came of it.

import {useEffect, useState} from 'preact/hooks';
import {show} from '../lib/show';
import * as api from '../state/api';
import {mayAdmin} from '../state/session';
import type {AuditEntry} from '../state/types';
import {Button, Empty, Filter, Head, matches, Stamp, Table, Trouble, Wait} from '../ui/parts';
import {t} from '../text';

export function AuditPage() {
    const [entries, setEntries] = useState<AuditEntry[] | null>(null);
    const [next, setNext] = useState<number | null>(null);
    const [filter, setFilter] = useState('');
    const [bad, setBad] = useState('');
    const load = async (before: number | null): Promise<void> => {
        try {
            const a = await api.get<{entries: AuditEntry[]; next: number | null}>('/v1/audit' + api.query({limit: 200, before}));
            setEntries(before === null ? a.entries : [...(entries ?? []), ...a.entries]);
            setNext(a.next);
            setBad('');
        } catch (error) {
            setBad(api.why(error));
        }
    };
    useEffect(() => { if (mayAdmin.value) void load(null); }, []);
    const list = (entries ?? []).filter(e => matches(filter, e.who, e.action, e.target, e.peer, e.status));
    return (
        <div class="page">
            <Head title={t.pages.audit} note={t.audit.what}><Filter value={filter} onValue={setFilter} label={t.filter} /><Button onClick={() => load(null)} disabled={!mayAdmin.value}>{t.refresh}</Button></Head>
            {!mayAdmin.value ? <Empty>{t.audit.admin}</Empty> : (
                <Wait what={entries} trouble={bad}>
                    <Trouble text={bad} />
                    <Table label={t.pages.audit} rows={list} keyOf={e => e.id} empty={filter ? t.noMatch : t.nothing} columns={[
                        {head: t.audit.time, cell: e => <Stamp of={e.time} />},
                        {head: t.audit.who, cell: e => show(e.who)},
                        {head: t.audit.scope, narrow: false, cell: e => show(e.scope)},
                        {head: t.audit.peer, narrow: false, cell: e => show(e.peer)},
                        {head: t.audit.action, cell: e => show(e.action)},
                        {head: t.audit.status, num: true, cell: e => <span class={e.status >= 400 ? 'warn' : ''}>{e.status}</span>},
                        {head: t.audit.target, wide: true, cell: e => <code>{show(e.target)}</code>},
                    ]} />
                    {next !== null && <Button onClick={() => load(next)}>{t.history.more}</Button>}
                </Wait>
            )}
        </div>
    );
}
