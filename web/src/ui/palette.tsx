// The command palette: everything that can be gone to or done, by typing.

import {signal} from '@preact/signals';
import {useEffect, useLayoutEffect, useRef, useState} from 'preact/hooks';
import {show} from '../lib/show';
import {framesOf} from '../market/chartdata';
import {adding} from '../market/add';
import {turn} from '../pages/streams';
import * as api from '../state/api';
import {active, choose, layout, nameOf, panes, setPane, setPaneCount, watched} from '../state/layout';
import {light, setTheme} from '../state/prefs';
import {go} from '../state/route';
import {logout, mayAdmin, mayOperate} from '../state/session';
import {connections, plugins, streams} from '../state/things';
import {matches} from './parts';
import {toast} from './toast';
import {t} from '../text';

export const paletteOpen = signal(false);
export const keysOpen = signal(false);

interface Command {
    kind: string;
    name: string;
    note?: string;
    run: () => unknown;
}

export const PAGES = ['market', 'plugins', 'connections', 'streams', 'history', 'sinks', 'audit', 'log', 'settings'] as const;

function commands(): Command[] {
    const out: Command[] = [];
    for (const p of watched.value) out.push({kind: t.palette.symbol, name: nameOf(p), note: p.plugin, run: () => { choose(p); go('market'); }});
    if (active.value) for (const f of framesOf(active.value)) out.push({kind: t.palette.frame, name: f, note: nameOf(active.value), run: () => { setPane(Math.min(layout.value.active, panes.value.length - 1), {frame: f}); go('market'); }});
    for (const p of PAGES) out.push({kind: t.palette.page, name: t.pages[p]!, run: () => go(p)});
    out.push({kind: t.palette.action, name: t.palette.theme, run: () => setTheme(light.value ? 'dark' : 'light')});
    for (const n of [1, 2, 4]) out.push({kind: t.palette.action, name: t.palette.panes(n), run: () => { setPaneCount(n); go('market'); }});
    if (mayOperate.value) out.push({kind: t.palette.action, name: t.palette.addSymbol, run: () => { go('market'); adding.value = true; }},
        {kind: t.palette.action, name: t.palette.newConnection, run: () => go('connections', 'new')}, {kind: t.palette.action, name: t.palette.newStream, run: () => go('streams', 'new')});
    if (mayAdmin.value) out.push({kind: t.palette.action, name: t.palette.upload, run: () => { go('plugins'); setTimeout(() => document.getElementById('plugin-file')?.click(), 100); }});
    out.push({kind: t.palette.action, name: t.palette.keys, run: () => { keysOpen.value = true; }}, {kind: t.palette.action, name: t.palette.logout, run: logout});
    for (const p of plugins.value ?? []) out.push({kind: t.palette.plugin, name: p.name || p.id, note: p.state, run: () => go('plugins', p.id)});
    for (const c of connections.value ?? []) out.push({kind: t.palette.connection, name: c.name || '#' + c.id, note: c.plugin, run: () => go('connections', c.id)});
    for (const s of streams.value ?? []) {
        const name = [s.type, s.identifier, ...Object.values(s.parameters ?? {})].join(' ');
        out.push({kind: t.palette.stream, name, note: s.state, run: () => go('streams', s.id)});
        if (mayOperate.value) out.push({kind: s.wanted === 'on' ? t.palette.stop : t.palette.start, name, note: s.state, run: () => turn(s, s.wanted !== 'on')});
    }
    return out;
}

export function Palette() {
    const ref = useRef<HTMLDialogElement>(null);
    const list = useRef<HTMLUListElement>(null);
    const [text, setText] = useState('');
    const [at, setAt] = useState(0);
    const close = (): void => { paletteOpen.value = false; };
    useLayoutEffect(() => { // at once: what is typed next is for it
        const dialog = ref.current!, before = document.activeElement as HTMLElement | null;
        dialog.showModal();
        return () => {
            dialog.close();
            before?.focus?.();
        };
    }, []);
    const found = commands().filter(c => matches(text, c.kind, c.name, c.note)).slice(0, 60);
    const index = Math.min(at, found.length - 1);
    useEffect(() => { list.current?.children[index]?.scrollIntoView({block: 'nearest'}); }, [index, text]);
    const run = (c: Command | undefined): void => {
        if (!c) return;
        close();
        void Promise.resolve(c.run()).catch(e => toast(api.why(e), 'bad'));
    };
    const key = (e: KeyboardEvent): void => {
        const step = {ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10}[e.key];
        if (step) setAt(Math.max(0, Math.min(found.length - 1, index + step)));
        else if (e.key === 'Enter') run(found[index]);
        else return;
        e.preventDefault();
    };
    return (
        <dialog ref={ref} class="dialog palette" aria-label={t.palette.title} onCancel={e => { e.preventDefault(); close(); }} onClick={e => e.target === e.currentTarget && close()}>
            <input type="text" role="combobox" aria-expanded="true" aria-controls="palette-list" aria-activedescendant={found.length ? 'command-' + index : undefined} aria-label={t.palette.title}
                placeholder={t.palette.placeholder} value={text} autocomplete="off" spellcheck={false} onInput={e => { setText(e.currentTarget.value); setAt(0); }} onKeyDown={key} />
            <ul id="palette-list" role="listbox" aria-label={t.palette.title} ref={list}>
                {found.map((c, i) => (
                    <li key={c.kind + c.name + c.note} id={'command-' + i} role="option" aria-selected={i === index} onPointerMove={() => i !== index && setAt(i)} onClick={() => run(c)}>
                        <span class="kind">{c.kind}</span><span class="what">{show(c.name)}</span><span class="dim">{show(c.note)}</span>
                    </li>
                ))}
            </ul>
            {!found.length && <p class="note pad">{t.palette.none}</p>}
            <footer class="note">{t.palette.keysHint}</footer>
        </dialog>
    );
}
