// A stand-in for `weir serve`, for work on the pages alone: npm run dev, then http://127.0.0.1:5173. A market that walks at random,
// everything in memory, and on purpose all that is rare: a version that waits for approval, a trap, a sink that failed, a
// price of twelve decimals, foreign text with control characters. It knows no rules; tests run against the real program.
//
//     node dev/server.mjs [PORT [DIST]]     with DIST it serves the built pages too
import {createServer} from 'node:http';
import {readFile} from 'node:fs/promises';
import {extname, join} from 'node:path';
import {WebSocketServer} from 'ws';

const port = Number(process.argv[2] ?? 5174), dist = process.argv[3];
const empty = process.env.EMPTY === '1';
const rate = Number(process.env.RATE ?? 20); // trades a second, all symbols together
const ns = (at = Date.now()) => String(BigInt(Math.round(at * 1000)) * 1000n);
const PLUGIN = 'woox-datasource';
const SYMBOLS = {SPOT_BTC_USDT: [95800, 2, 0.4], SPOT_ETH_USDT: [3612.4, 2, 2], SPOT_SOL_USDT: [187.321, 3, 20], SPOT_DOGE_USDT: [0.412345, 6, 9000], SPOT_PEPE_USDT: [0.000001234567, 12, 9e6], PERP_BTC_USDT: [95823.5, 1, 0.2], PERP_ETH_USDT: [3613.1, 2, 1]};
const prices = Object.fromEntries(Object.entries(SYMBOLS).map(([s, [p]]) => [s, p]));
const FRAMES = {'1m': 60, '3m': 180, '5m': 300, '15m': 900, '30m': 1800, '1h': 3600, '4h': 14400, '1D': 86400};
const started = Date.now();

const plugins = empty ? [] : [{
    id: PLUGIN, name: 'WOO X', description: 'Spot and perpetual markets of WOO X', version: '1.4.0', generation: 2, enabled: true, state: 'ready', why: '', sha256: 'a'.repeat(64), size: 412345, installed_at: ns(started - 9e7),
    versions: [{sha256: 'b'.repeat(64), version: '1.5.0', size: 420000, installed_at: ns(started), active: false, file_name: 'woox-1.5.wasm', asks: [], adds: [], removes: []}, {sha256: 'a'.repeat(64), version: '1.4.0', size: 412345, installed_at: ns(started - 9e7), active: true, file_name: 'woox.wasm', asks: [], adds: [], removes: []}, {sha256: 'c'.repeat(64), version: '1.3.2', size: 409000, installed_at: ns(started - 9e8), active: false, file_name: 'woox-1.3.wasm', asks: [], adds: [], removes: []}],
    asks: ['https://api.woox.io', 'wss://wss.woox.io'], grants: ['https://api.woox.io', 'wss://wss.woox.io'],
    pending: {sha256: 'b'.repeat(64), version: '1.5.0', asks: ['https://api.woox.io', 'wss://wss.woox.io', 'https://stats.example.com'], adds: ['https://stats.example.com'], removes: ['https://api-pub.woox.io']},
    fields: [{name: 'apiKey', label: 'API key', type: 'text', required: true, mask: false}, {name: 'apiSecret', label: 'API secret', type: 'text', required: true, mask: true}, {name: 'market', label: 'Market', type: 'select', required: false, default: 'spot', options: ['spot', 'perp']}],
    stream_types: ['trades', 'bbo', 'orderbook', 'ticker', 'ohlcv'], timeframes: Object.keys(FRAMES), commands: ['getMarkets', 'getTimeframes', 'getOHLCV', 'getAccount'], connections: 1,
    figures: {streams: 35, messages: 123456, records: 123400, gaps: 2, traps: 1, restarts: 1, calls: 130000, call_p50_us: 42, call_p99_us: 310, cpu_ms: 91234, memory_octets: 9 << 20, memory_limit_octets: 64 << 20}, last_trap: null,
}, {
    id: 'evil‮datasource', name: 'evil\u202eexe\u0007 <img src=x>', description: '', version: '0.1', generation: 1, enabled: true, state: 'failed', why: "module: import 'env.system' is not offered", sha256: 'd'.repeat(64), size: 999, installed_at: ns(), versions: [], asks: [], grants: [], pending: null, fields: [], stream_types: [], timeframes: [], commands: [], connections: 0,
    figures: {streams: 0, messages: 0, records: 0, gaps: 0, traps: 0, restarts: 0, calls: 0, call_p50_us: null, call_p99_us: null, cpu_ms: null, memory_octets: null, memory_limit_octets: null}, last_trap: null,
}];
const connections = empty ? [] : [{id: 1, plugin: PLUGIN, name: 'main', enabled: true, config: {apiKey: 'demo', market: 'spot'}, secrets_set: ['apiSecret'], state: 'ready', why: '', streams: 35, created_at: ns(started), updated_at: ns(started)}];
let streams = [];
const seqs = {};
const history = [];
const newStream = (type, identifier, parameters = {}) => {
    const topic = [type, PLUGIN, identifier, ...Object.values(parameters)].join('.');
    const s = {id: streams.length + 1, connection: 1, plugin: PLUGIN, type, identifier, parameters, topic, wanted: 'on', state: 'live', why: 'the plugin waits for messages', since: ns(), figures: {received: 0, records: 0, gaps: 0, restarts: 0, doubles: 0, repeated: 0, waiting: 0, last_ts_event: null, last_ts_recv: null}};
    streams.push(s);
    return s;
};
if (!empty) for (const s of Object.keys(SYMBOLS)) for (const type of ['ticker', 'bbo', 'trades', 'orderbook', 'ohlcv']) newStream(type, s, type === 'ohlcv' ? {timeframe: '1m'} : {});
let sinks = empty ? [] : [{id: 1, name: 'tape', spec: 'redis://127.0.0.1:6379', pattern: 'trades.>', connection: null, policy: 'drop_oldest', enabled: true, state: 'open', why: '', account: {accepted: 991, written: 990, buffered: 1, lost: 0, offered: 991, delivered: 990, dropped: 0, queued: 1}}, {id: 2, name: 'archive', spec: 'kafka://kafka.example:9092/weir', pattern: '>', connection: null, policy: 'block', enabled: true, state: 'waiting', why: 'kafka.example:9092: connection refused; next try in 8 s', account: {accepted: 12, written: 0, buffered: 12, lost: 0, offered: 12, delivered: 0, dropped: 0, queued: 88}}];
const ui = {};
let tokens = [{id: 1, name: 'admin', scope: 'admin', created_at: ns(started), expires_at: null}];
const log = [];
const sockets = new Set();
const fix = (s, p) => p.toFixed(SYMBOLS[s][1]);

function emit(s, data, event = ns()) {
    if (s.state !== 'live') return;
    const seq = String((seqs[s.topic] = (seqs[s.topic] ?? 0) + 1));
    const line = JSON.stringify({seq, kind: 'data', type: s.type, source: s.plugin, identifier: s.identifier, parameters: s.parameters, connection: 1, ts_event: event, ts_recv: ns(), ts_out: ns(), data});
    s.figures.records++; s.figures.received++; s.figures.last_ts_recv = s.figures.last_ts_event = ns();
    deliver(s.topic, line);
}
function deliver(topic, line) {
    history.push([topic, line]);
    if (history.length > 60000) history.splice(0, 20000);
    for (const ws of sockets) if (ws.subs && [...ws.subs.values()].includes(topic)) ws.send(line);
}
function gap(s, seconds) {
    const seq = String((seqs[s.topic] = (seqs[s.topic] ?? 0) + 1));
    s.figures.gaps++;
    deliver(s.topic, JSON.stringify({seq, kind: 'gap', type: s.type, source: s.plugin, identifier: s.identifier, parameters: s.parameters, connection: 1, cause: 'disconnected', from: ns(Date.now() - seconds * 1000), to: ns(), ts_out: ns()}));
}
const candles = {};
function noise(symbol, t) {
    const x = t / 60 + symbol.length * 17.3;
    return 1 + 0.02 * Math.sin(x / 97) + 0.008 * Math.sin(x / 13.7) + 0.003 * Math.sin(x / 3.1) + 0.0008 * Math.sin(x * 2.7);
}
function candle(symbol, start, seconds) {
    const base = SYMBOLS[symbol][0], path = [0, .25, .5, .75, 1].map(k => base * noise(symbol, start + k * seconds));
    return {timestamp: new Date(start * 1000).toISOString(), open: fix(symbol, path[0]), high: fix(symbol, Math.max(...path) * 1.0003), low: fix(symbol, Math.min(...path) * 0.9997), close: fix(symbol, path[4]), volume: (SYMBOLS[symbol][2] * (50 + 40 * Math.sin(start / 7))).toFixed(4)};
}
let quiet = 0;
setInterval(() => {
    if (Date.now() < quiet) return;
    for (let i = 0; i < Math.max(1, rate / 20); i++) trade();
}, 50);
function trade() {
    const list = Object.keys(SYMBOLS), symbol = list[Math.floor(Math.random() * list.length)];
    const [, places, size] = SYMBOLS[symbol];
    const p = prices[symbol] = SYMBOLS[symbol][0] * noise(symbol, Date.now() / 1000) * (1 + (Math.random() - .5) * 0.0004);
    const of = type => streams.find(s => s.type === type && s.identifier === symbol);
    if (!of('trades')) return;
    emit(of('trades'), {symbol, timestamp: new Date().toISOString(), price: p.toFixed(places), size: (Math.random() * size).toFixed(6), side: Math.random() < .5 ? 'buy' : 'sell'});
    const c = candles[symbol] ??= {};
    const start = Math.floor(Date.now() / 60000) * 60;
    if (c.start !== start) candles[symbol] = {start, open: p, high: p, low: p, close: p, volume: 0};
    const k = candles[symbol];
    k.high = Math.max(k.high, p); k.low = Math.min(k.low, p); k.close = p; k.volume += Math.random() * size;
    emit(of('ohlcv'), {symbol, timestamp: new Date(start * 1000).toISOString(), interval: '1m', open: +fix(symbol, k.open), high: +fix(symbol, k.high), low: +fix(symbol, k.low), close: +fix(symbol, k.close), volume: +k.volume.toFixed(6)});
    const tick = 10 ** -places, step = Math.max(tick, p * 0.00005);
    emit(of('bbo'), {symbol, timestamp: new Date().toISOString(), bid: (p - step).toFixed(places), bid_size: (Math.random() * size).toFixed(4), ask: (p + step).toFixed(places), ask_size: (Math.random() * size).toFixed(4)});
    const levels = sign => Array.from({length: 25}, (_, i) => [(p + sign * step * (i + 1)).toFixed(places), (Math.random() * size * 3).toFixed(4)]);
    if (Math.random() < .3) emit(of('orderbook'), {symbol, timestamp: new Date().toISOString(), flags: ['snapshot', 'last'], bids: levels(-1), asks: levels(1)});
    if (Math.random() < .2) emit(of('ticker'), {symbol, timestamp: new Date().toISOString(), open: (SYMBOLS[symbol][0] * .985).toFixed(places), high: (p * 1.02).toFixed(places), low: (p * .97).toFixed(places), close: p.toFixed(places), volume: (size * 114384.16).toFixed(4), amount: '11025684653.86', count: 172698});
}
setInterval(() => {
    const line = {time: ns(), level: Math.random() < .1 ? 'warn' : 'info', part: Math.random() < .5 ? PLUGIN : 'api', text: `stream 'trades.${PLUGIN}.SPOT_BTC_USDT': ${Math.random() < .1 ? 'odd \u001b[31mtext\u0007' : 'a line of the log'}`};
    log.push(line);
    if (log.length > 500) log.shift();
    for (const ws of sockets) if (ws.logs) ws.send(JSON.stringify({op: 'log', ...line}));
}, 2000);

const routes = {
    'GET /v1/session': () => ({name: 'dev', scope: process.env.SCOPE ?? 'admin'}),
    'POST /v1/session': () => ({name: 'dev', scope: 'admin'}),
    'GET /v1/node': () => ({name: 'dev', version: '0.1.0', started_at: ns(started), uptime_s: (Date.now() - started) / 1000, demo: !empty, account: {}, plugins: plugins.length, streams: {live: streams.length}, memory_octets: 61 << 20, cpu_ms: 4200, store: {state: 'ok', why: '', octets: 7 << 20, history_octets: 5 << 20, lost: 0}}),
    'GET /v1/plugins': () => ({plugins}), 'GET /v1/connections': () => ({connections}), 'GET /v1/streams': () => ({streams}), 'GET /v1/sinks': () => ({sinks}),
    'GET /v1/tokens': () => ({tokens}), 'POST /v1/tokens': b => (tokens.push({id: tokens.length + 1, ...b}), {...b, id: tokens.length, token: 'weir_' + 'x'.repeat(40)}),
    'GET /v1/logs': () => ({lines: log}),
    'GET /v1/audit': () => ({entries: Array.from({length: 40}, (_, i) => ({id: 100 - i, time: ns(Date.now() - i * 61000), who: 'admin', scope: 'admin', peer: '127.0.0.1', action: ['POST /v1/streams', 'PATCH /v1/connections/1', 'POST /v1/session'][i % 3], target: String(i), status: i % 7 ? 200 : 403})), next: 60}),
    'GET /v1/settings': () => ({settings: [{name: 'listen', value: '127.0.0.1:8080', source: 'default', help: 'where the API and the pages are'}, {name: 'history.keep', value: '7d', source: 'file', help: 'how long records are kept'}, {name: 'secret_key', value: '***', source: 'environment', help: 'the key of secrets at rest'}]}),
    'GET /v1/history/topics': () => ({topics: streams.map(s => ({topic: s.topic, type: s.type, source: s.plugin, identifier: s.identifier, parameters: s.parameters, connection: 1, records: s.figures.records, octets: s.figures.records * 320, first: ns(started), last: ns(), last_seq: String(seqs[s.topic] ?? 0)}))}),
    'POST /v1/connections/1/commands/getMarkets': () => ({result: [...Object.keys(SYMBOLS), 'SPOT_XRP_USDT', 'SPOT_ADA_USDT'].map(symbol => ({symbol, base: symbol.split('_')[1], quote: 'USDT', assetType: symbol.startsWith('PERP') ? 'perpetual' : 'spot', status: 'TRADING'})), took_ms: 12, waited_ms: 0}),
    'POST /v1/connections/1/commands/getOHLCV': b => {
        const step = FRAMES[b.timeframe], end = b.endTime ? Math.floor(b.endTime / 1000) : Date.now() / 1000, out = [];
        for (let t = Math.floor(end / step) * step, i = 0; i < (b.limit ?? 100); i++, t -= step) { const c = candle(b.symbol, t, step); out.unshift({ts_event: String(t) + '000000000', ...c, timestamp: undefined}); }
        return {result: out, took_ms: 31, waited_ms: 0};
    },
    'POST /v1/connections/1/test': () => ({ok: true, why: '', took_ms: 41}),
    [`GET /v1/plugins/${PLUGIN}/traps`]: () => ({traps: [{time: '2026-11-28T10:00:00Z', version: '1.4.0', stream: 'trades:SPOT_ETH_USDT', export: 'handle_stream_message', code: 'TRAPPED', trap: 'out of bounds memory access', then: 'restarted', message: '{"topic":"SPOT_ETH_USDT@trade","data":null}', calls: [{name: 'http_request', ms: 31, outcome: '200'}], backtrace: 'wasm trap: out of bounds memory access\n    0: json_member (woox.c:211)\n    1: trade_read (woox.c:402)\n    2: handle_stream_message (woox.c:588)'}]}),
};

function historyOf(q) {
    let list = history.filter(([topic, line]) => (q.get('pattern') === '>' || topic === q.get('pattern')) && (q.get('kinds') ?? 'data,gap').split(',').some(k => line.includes(`"kind":"${k}"`)));
    if (q.get('order') === 'desc') list = list.reverse();
    return list.slice(0, Number(q.get('limit') ?? 1000)).map(x => x[1]);
}
const TYPES = {'.html': 'text/html; charset=utf-8', '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml'};
const server = createServer(async (req, res) => {
    const url = new URL(req.url, 'http://x'), key = `${req.method} ${url.pathname}`;
    const chunks = [];
    for await (const c of req) chunks.push(c);
    const raw = Buffer.concat(chunks);
    let body = {};
    try { body = JSON.parse(raw.toString() || '{}'); } catch { /* octets */ }
    const say = (status, value) => { res.writeHead(status, {'Content-Type': 'application/json'}); res.end(value === null ? '' : JSON.stringify(value)); };
    if (routes[key]) return say(200, routes[key](body));
    if (key === 'GET /v1/history') {
        const list = historyOf(url.searchParams);
        if (url.searchParams.get('format') === 'json') { res.writeHead(200, {'Content-Type': 'application/json'}); return res.end(`{"records":[${list.join(',')}],"next":null}`); }
        return res.end(list.join('\n') + '\n');
    }
    if (key === 'GET /v1/ui') return say(200, {ui: Object.keys(ui)});
    const m = /^\/v1\/(ui|streams|connections|plugins|sinks)\/([^/]+)(?:\/(\w+))?$/.exec(url.pathname);
    if (m?.[1] === 'ui') { if (req.method === 'PUT') ui[m[2]] = body; return ui[m[2]] ? say(200, ui[m[2]]) : say(404, {error: {code: 'NOT_FOUND', text: 'none'}}); }
    if (m?.[1] === 'streams') {
        const s = streams.find(x => String(x.id) === m[2]);
        if (m[3] === 'restart') gap(s, 5);
        if (req.method === 'PATCH') { s.wanted = body.wanted; s.state = body.wanted === 'on' ? 'live' : 'off'; }
        return say(200, s);
    }
    if (key === 'POST /v1/streams') return say(201, newStream(body.type, body.identifier, body.parameters));
    if (key === 'POST /v1/quiet') { quiet = Date.now() + 200000; setTimeout(() => { for (const s of streams) gap(s, 200); }, 200000); return say(200, {}); }
    if (m?.[1] === 'connections') { Object.assign(connections[0], {name: body.name ?? connections[0].name}); return say(200, connections[0]); }
    if (m?.[1] === 'plugins') { if (m[3] === 'approve' || m[3] === 'reject') plugins[0].pending = null; return say(200, plugins[0]); }
    if (m?.[1] === 'sinks') { if (req.method === 'DELETE') sinks = sinks.filter(x => String(x.id) !== m[2]); return say(200, {}); }
    if (dist && !url.pathname.startsWith('/v1/')) {
        const path = extname(url.pathname) ? url.pathname : '/index.html';
        const file = await readFile(join(dist, path)).catch(() => null);
        if (file) { res.writeHead(200, {'Content-Type': TYPES[extname(path)] ?? 'application/octet-stream', 'Content-Security-Policy': "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; frame-ancestors 'none'"}); return res.end(file); }
    }
    say(404, {error: {code: 'NOT_FOUND', text: `no ${key}`}});
});
const wss = new WebSocketServer({server, path: '/v1/records/ws'});
wss.on('connection', ws => {
    ws.subs = new Map();
    sockets.add(ws);
    ws.on('close', () => sockets.delete(ws));
    ws.on('message', text => {
        const m = JSON.parse(text);
        if (m.op === 'subscribe') {
            ws.subs.set(m.id, m.pattern);
            ws.send(JSON.stringify({op: 'subscribed', id: m.id}));
            if (m.from === 'now') return;
            const old = history.filter(([topic, line]) => topic === m.pattern && (m.from === 'time' || BigInt(/"seq":"(\d+)"/.exec(line)[1]) > BigInt(m.seqs[topic] ?? 0)));
            for (const [, line] of old) ws.send(line);
            ws.send(JSON.stringify({op: 'seam', id: m.id, history: old.length, complete: true}));
        } else if (m.op === 'unsubscribe') ws.subs.delete(m.id);
        else if (m.op === 'logs') ws.logs = true;
    });
});
server.listen(port, '127.0.0.1', () => console.log(`stand-in on http://127.0.0.1:${port}`));
