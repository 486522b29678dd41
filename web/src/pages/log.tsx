// The log as it is written: the last lines, then live.

import {signal} from '@preact/signals';
import {useEffect, useMemo, useRef, useState} from 'preact/hooks';
import {show, showLines} from '../lib/show';
import {clock, day, ms} from '../lib/time';
import * as api from '../state/api';
import * as live from '../state/live';
import type {LogLine} from '../state/types';
import {Button, Filter, Head, matches} from '../ui/parts';
import {t} from '../text';

const LEVELS = ['trace', 'debug', 'info', 'warn', 'error'];
const KEPT = 1000;

const rank = (level: string): number => {
    const i = LEVELS.indexOf(level === 'warning' ? 'warn' : level);
    return i < 0 ? 2 : i;
};

const later = (a: LogLine, b: LogLine): boolean => (ms(a.time) ?? 0) > (ms(b.time) ?? 0);

export function LogLines({part, aliases, filter = '', level = 'info', paused = false}: {part?: string; aliases?: string[]; filter?: string; level?: string; paused?: boolean}) {
    const lines = useMemo(() => signal<LogLine[]>([]), []);
    const [bad, setBad] = useState('');
    const held = useRef(paused);
    held.current = paused;
    useEffect(() => {
        let waiting: LogLine[] | null = null; // null: what was before is not here yet
        let early: LogLine[] = [];
        const take = (l: LogLine): void => { (waiting ?? early).push(l); };
        live.onLog.add(take);
        live.wantLogs(level);
        api.get<{lines: LogLine[]}>('/v1/logs' + api.query({limit: 300, level})).then(a => {
            const before = a.lines ?? [], newest = before[before.length - 1];
            lines.value = before;
            waiting = early.filter(l => !newest || later(l, newest)); // what is in the answer came by the socket, too
            early = [];
        }, e => {
            waiting = [];
            setBad(api.why(e));
        });
        const timer = window.setInterval(() => {
            if (!waiting?.length) return;
            if (held.current) return void (waiting = waiting.slice(-KEPT));
            lines.value = [...lines.value, ...waiting].slice(-KEPT);
            waiting = [];
        }, 250);
        return () => {
            live.onLog.delete(take);
            clearInterval(timer);
        };
    }, [level]);
    const mine = (l: LogLine): boolean => part === undefined || l.part === part || l.text.includes(part) || (aliases ?? []).some(a => l.text.includes(a));
    const list = lines.value.filter(l => mine(l) && rank(l.level) >= rank(level) && matches(filter, l.part, l.text)).slice(-400).reverse();
    if (bad) return <p class="trouble">{show(bad)}</p>;
    if (!list.length) return <p class="note">{t.log.none}</p>;
    return (
        <div class="scroll log" tabIndex={0} role="log" aria-label={t.pages.log}>
            <table class="table">
                <tbody>
                    {list.map((l, i) => {
                        const at = ms(l.time);
                        return (
                            <tr key={list.length - i} class={'level-' + show(l.level)}>
                                <td class="dim" title={at === null ? '' : day(at)}>{at === null ? show(l.time) : clock(at, true)}</td>
                                <td class="level">{show(l.level)}</td><td class="dim not-narrow">{show(l.part)}</td><td class="wide">{showLines(l.text)}</td>
                            </tr>
                        );
                    })}
                </tbody>
            </table>
        </div>
    );
}

export function LogPage() {
    const [filter, setFilter] = useState('');
    const [level, setLevel] = useState('info');
    const [paused, setPaused] = useState(false);
    return (
        <div class="page">
            <Head title={t.pages.log}>
                <Filter value={filter} onValue={setFilter} label={t.filter} />
                <select class="small" aria-label={t.log.level} value={level} onChange={e => setLevel(e.currentTarget.value)}>{LEVELS.map(l => <option value={l}>{l}</option>)}</select>
                <Button pressed={paused} onClick={() => setPaused(!paused)}>{paused ? t.log.go : t.log.pause}</Button>
            </Head>
            <LogLines filter={filter} level={level} paused={paused} />
        </div>
    );
}
