// The frame of all pages: navigation, the state of the connection, keys.

import {useEffect, useState} from 'preact/hooks';
import {count, duration} from './lib/time';
import {show} from './lib/show';
import {AddSymbol, adding} from './market/add';
import {framesOf} from './market/chartdata';
import {MarketPage} from './market/page';
import {gapText} from './market/tape';
import {AuditPage} from './pages/audit';
import {ConnectionsPage} from './pages/connections';
import {HistoryPage} from './pages/history';
import {LogPage} from './pages/log';
import {LoginPage} from './pages/login';
import {PluginsPage} from './pages/plugins';
import {SettingsPage} from './pages/settings';
import {SinksPage} from './pages/sinks';
import {StreamsPage} from './pages/streams';
import {upload} from './pages/upload';
import * as api from './state/api';
import {second} from './state/feeds';
import {active, choose, keyOf, layout, load, loaded, panes, setPane, watched} from './state/layout';
import * as live from './state/live';
import {light, narrow, setTheme} from './state/prefs';
import {go, href, route} from './state/route';
import {begin, mayAdmin, mayOperate, session} from './state/session';
import {node, refreshAll, streams, trouble} from './state/things';
import {Dialog} from './ui/dialog';
import {Button, State} from './ui/parts';
import {keysOpen, PAGES, Palette, paletteOpen} from './ui/palette';
import {toast, Toasts} from './ui/toast';
import type {Rec} from './state/types';
import {t} from './text';

const VIEWS: Record<string, () => preact.JSX.Element> = {
    market: MarketPage, plugins: PluginsPage, connections: ConnectionsPage, streams: StreamsPage, history: HistoryPage, sinks: SinksPage, audit: AuditPage, log: LogPage, settings: SettingsPage,
};

export function App() {
    const [why, setWhy] = useState('');
    useEffect(() => { void begin().then(w => setWhy(w ?? '')); }, []);
    useEffect(() => { document.title = `${t.pages[route.value.page] ?? 'Weir'} · Weir`; }, [route.value.page]);
    const who = session.value;
    useEffect(() => {
        if (!who) return;
        void refreshAll();
        void load();
    }, [who]);
    if (who === undefined) return <p class="note pad" role="status">{t.loading}</p>;
    if (who === null) return <><LoginPage key={why} why={why} /><Toasts /></>;
    return <Frame />;
}

function Frame() {
    useEffect(() => {
        addEventListener('keydown', onKey);
        addEventListener('dragover', onDragOver);
        addEventListener('drop', onDrop);
        return () => {
            removeEventListener('keydown', onKey);
            removeEventListener('dragover', onDragOver);
            removeEventListener('drop', onDrop);
        };
    }, []);
    const View = VIEWS[route.value.page] ?? MarketPage;
    return (
        <div class="app">
            <a class="skip" href="#main" onClick={e => { e.preventDefault(); document.getElementById('main')?.focus(); }}>{t.shell.skip}</a>
            <Top />
            <Missed />
            <Lost />
            <main id="main" tabIndex={-1}>{loaded.value ? <View /> : <p class="note pad" role="status">{t.loading}</p>}</main>
            <Bottom />
            {paletteOpen.value && <Palette />}
            {keysOpen.value && <Keys />}
            {adding.value && <AddSymbol />}
            <Toasts />
        </div>
    );
}

function Top() {
    const [open, setOpen] = useState(false);
    const here = route.value.page;
    useEffect(() => setOpen(false), [route.value]);
    return (
        <header class="top">
            <a class="brand" href={href('market')}>weir</a>
            {narrow.value && <button type="button" class="button" aria-expanded={open} aria-controls="pages" onClick={() => setOpen(!open)}>{t.pages[here] ?? t.shell.menu}<span aria-hidden="true"> ▾</span></button>}
            <nav id="pages" aria-label={t.shell.pagesLabel} class={open ? 'shown' : ''}>
                {PAGES.map(p => <a href={href(p)} aria-current={p === here ? 'page' : undefined}>{t.pages[p]}</a>)}
            </nav>
            <span class="space" />
            <button type="button" class="button search" onClick={() => (paletteOpen.value = true)}>{t.shell.search} <kbd>{t.shell.searchKey}</kbd></button>
            <button type="button" class="button quiet" aria-label={light.value ? t.shell.toDark : t.shell.toLight} title={light.value ? t.shell.toDark : t.shell.toLight} onClick={() => setTheme(light.value ? 'dark' : 'light')}>
                <svg width="14" height="14" viewBox="0 0 14 14" aria-hidden="true"><circle cx="7" cy="7" r="6" fill="none" stroke="currentColor" stroke-width="1.4" /><path d="M7 1a6 6 0 0 1 0 12z" fill="currentColor" /></svg>
            </button>
            <LiveState />
        </header>
    );
}

function LiveState() {
    const s = live.state.value;
    const name = s === 'open' ? t.shell.live : s === 'connecting' ? t.shell.connecting : s === 'waiting' ? t.shell.waiting : t.shell.off;
    return <span class={'state live-state ' + (s === 'open' ? 'good' : s === 'off' ? 'off' : 'bad')} role="status"><i aria-hidden="true" />{name}</span>;
}

/** While the socket is away: since when, and the next try. */
function Lost() {
    void second.value;
    if (live.state.value !== 'waiting') return null;
    return (
        <div class="banner bad" role="alert">
            <span>{t.shell.retryIn(duration(Math.max(0, live.nextTryAt.value - Date.now())))} {t.shell.stale}</span>
            <Button onClick={live.retryNow}>{t.shell.retry}</Button>
        </div>
    );
}

/** After it came back: what was missed. */
function Missed() {
    const m = live.missed.value;
    if (!m || m.dismissed || live.state.value !== 'open') return null;
    return (
        <div class="banner missed" role="status">
            <span>
                {t.shell.back(duration(m.to - m.from))} {t.shell.caught(m.caught)} {m.incomplete > 0 && t.shell.incomplete(m.incomplete)} {m.gaps.length ? t.shell.missedGaps(m.gaps.length) : t.shell.noGaps}
                {m.gaps.slice(0, 3).map(g => <span class="missed-gap">{show(g.topic)} ({gapText(g as unknown as Rec)})</span>)}
            </span>
            <Button onClick={() => (live.missed.value = {...m, dismissed: true})}>{t.close}</Button>
        </div>
    );
}

function Bottom() {
    const r = live.rates.value, n = node.value;
    const list = streams.value ?? [];
    const on = list.filter(s => s.state === 'live').length, off = list.filter(s => s.wanted === 'on' && s.state !== 'live').length;
    const lost = n ? Number((n.account as {lost?: number}).lost ?? 0) : 0;
    return (
        <footer class="bottom" aria-label={t.shell.status}>
            {n?.demo && <span class="tag">{t.shell.demo}</span>}
            <span><a href={href('streams')}>{t.shell.streams(on)}</a>{off > 0 && <span class="warn"> · {t.shell.notLive(off)}</span>}</span>
            {route.value.page === 'market' && <>
                <span class="figure">{t.shell.rate(count(r.records))}</span>
                <span class="figure not-narrow">{t.shell.lag(r.lag < 1000 ? Math.round(r.lag) + ' ms' : duration(r.lag))}</span>
            </>}
            {lost > 0 && <span class="warn">{t.shell.lost(count(lost))}</span>}
            {r.dropped > 0 && <span class="warn">{t.shell.dropped(count(r.dropped))}</span>}
            {n && n.store.state !== 'ok' && <span class="warn"><State of={n.store.state} /> {t.shell.store}: {show(n.store.why)}</span>}
            {trouble.value && <span class="warn" title={show(trouble.value)}>{t.shell.nodeTrouble}: {show(trouble.value)}</span>}
            <span class="space" />
            {n && <span class="dim not-narrow">{show(n.name)} · {show(n.version)}</span>}
            <button type="button" class="button quiet not-narrow" onClick={() => (keysOpen.value = true)}>{t.shell.help} <kbd>?</kbd></button>
        </footer>
    );
}

function Keys() {
    return (
        <Dialog title={t.keys.title} onClose={() => (keysOpen.value = false)}>
            <dl class="keys">{t.keys.list.map(([k, what]) => <div><dt><kbd>{k}</kbd></dt><dd>{what}</dd></div>)}</dl>
        </Dialog>
    );
}

// ---- Keys ----

let afterG = 0;
const BY_KEY: Record<string, string> = {m: 'market', p: 'plugins', c: 'connections', s: 'streams', h: 'history', k: 'sinks', a: 'audit', l: 'log', ',': 'settings'};

function onKey(e: KeyboardEvent): void {
    if ((e.ctrlKey || e.metaKey) && e.key.toLowerCase() === 'k') {
        e.preventDefault();
        paletteOpen.value = !paletteOpen.value;
        return;
    }
    if (e.ctrlKey || e.metaKey || e.altKey || document.querySelector('dialog[open]')) return;
    if ((e.target as Element).closest('input,select,textarea')) {
        if (e.key === 'Escape') (e.target as HTMLElement).blur();
        return;
    }
    if (Date.now() - afterG < 1200) {
        afterG = 0;
        const page = BY_KEY[e.key];
        if (page) {
            go(page);
            e.preventDefault();
        }
        return;
    }
    if (e.key === 'g') afterG = Date.now();
    else if (e.key === '?') keysOpen.value = true;
    else if (e.key === '/') {
        document.querySelector<HTMLInputElement>('[data-filter]')?.focus();
        e.preventDefault();
    } else if (route.value.page === 'market') marketKey(e);
}

function marketKey(e: KeyboardEvent): void {
    const now = active.value, index = Math.min(layout.value.active, panes.value.length - 1);
    if (e.key === 'a' && mayOperate.value) {
        adding.value = true;
        e.preventDefault();
    } else if ((e.key === '[' || e.key === ']') && now) {
        const list = watched.value, at = list.findIndex(p => keyOf(p) === keyOf(now));
        const next = list[(at + (e.key === ']' ? 1 : list.length - 1)) % list.length];
        if (next) choose(next);
    } else if (/^[1-9]$/.test(e.key) && now) {
        const frame = framesOf(now)[Number(e.key) - 1];
        if (frame) setPane(index, {frame});
    }
}

// ---- A plugin dropped anywhere ----

function onDragOver(e: DragEvent): void {
    if (mayAdmin.value && e.dataTransfer?.types.includes('Files')) e.preventDefault();
}

function onDrop(e: DragEvent): void {
    if (e.defaultPrevented || !mayAdmin.value || !e.dataTransfer?.files.length) return;
    e.preventDefault();
    for (const file of e.dataTransfer.files) void upload(file).catch(error => toast(api.why(error), 'bad'));
}
