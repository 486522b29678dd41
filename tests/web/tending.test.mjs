// The journeys of who tends a node: an upgrade under running streams and the way back, a plugin that traps, streams, sinks and
// tokens made, changed and taken away, a gap filled from the venue, a layout that is kept, all of it by keys if one likes.
import assert from 'node:assert/strict';
import {existsSync, mkdtempSync, readFileSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {after, before, describe, test} from 'node:test';
import {accessible, alive, changes, done, frame, goto, hasColour, legend, tabStops, WARN, watchRow} from './page.mjs';
import {ask, serve, venue, wire} from './serve.mjs';
import {GUESTS, log, open, shot, WEIR} from './setting.mjs';

const section = (page, name) => page.locator(`.section[aria-label="${name}"]`);
const toast = (page, text) => page.locator('.toast', {hasText: text}).first();

/** The plugin's next version: another number, and one address for another. */
const next = () => Buffer.from(readFileSync(join(GUESTS, 'woox.wasm'), 'latin1').replaceAll('https://api-pub.woox.io', 'https://api-new.woox.io').replaceAll('"version":"1.0.0"', '"version":"1.0.1"'), 'latin1');

describe('who tends a node', () => {
    const folder = mkdtempSync(join(tmpdir(), 'weir-web-'));
    let market, server, page, watcher;
    const plugin = () => ask(server, 'GET', '/v1/plugins/woox-datasource');
    const streams = async () => (await ask(server, 'GET', '/v1/streams')).streams;
    const stream = async type => (await streams()).find(s => s.type === type);
    const gaps = async topic => (await ask(server, 'GET', `/v1/history?pattern=${topic}&kinds=gap&format=json&limit=100`)).records;

    before(async () => {
        market = await venue(WEIR, ['--rate', '4'], log);
        const there = market.overrides.find(o => o.startsWith('https://api-pub.woox.io=')).split('=')[1];
        server = await serve(WEIR, ['--data-dir', join(folder, 'data'), '--listen-port', '0', '--venues-retry-max', '1s', ...market.overrides, '--venues-overrides', `https://api-new.woox.io=${there}`], log);
    });
    after(async () => {
        await server?.stop();
        await market?.stop();
        rmSync(folder, {recursive: true, force: true});
    });

    test('an empty installation leads from nothing to a moving chart', async () => {
        page = await open();
        page.allowed.push(/401.*\/v1\/session/);
        await page.goto(server.url);
        await page.locator('h1', {hasText: 'Nothing runs here yet'}).waitFor();
        assert.deepEqual(await page.locator('.steps h2').allInnerTexts(), ['1. A plugin', '2. A connection', '3. Streams']);
        await page.locator('#plugin-file').setInputFiles(join(GUESTS, 'woox.wasm'));
        await page.getByRole('button', {name: 'Approve and run'}).click();
        await page.locator('.head .state.good', {hasText: 'ready'}).waitFor();
        await goto(page, 'market');
        await page.locator('.steps li.done h2', {hasText: '1. A plugin — done'}).waitFor();
        await page.getByRole('button', {name: 'Connect WOO X as it is'}).click();
        await page.locator('.steps li.done h2', {hasText: '2. A connection — done'}).waitFor();
        await shot(page, 'tending-welcome');
        await accessible(page, 'the first steps');
        await page.getByRole('button', {name: 'Add a symbol'}).click();
        await page.getByRole('dialog').locator('tr', {hasText: 'SPOT_BTC_USDT'}).click();
        await alive(page);
        for (const s of ['SPOT_ETH_USDT', 'SPOT_SOL_USDT']) await ask(server, 'POST', '/v1/streams', {plugin: 'woox-datasource', type: 'ticker', identifier: s, parameters: {}});
        await watchRow(page, 'SPOT_SOL_USDT').waitFor();
    });

    test('a version that asks for more is approved and takes over; the chart of who watches goes on', async () => {
        watcher = await open();
        watcher.allowed.push(/401.*\/v1\/session/);
        await watcher.goto(server.url);
        await alive(watcher);
        const old = await plugin(), before = await stream('ohlcv');
        await goto(page, 'plugins');
        await page.locator('#plugin-file').setInputFiles({name: 'woox-next.wasm', mimeType: 'application/wasm', buffer: next()});
        const asks = page.getByRole('region', {name: 'Permissions to approve'});
        await asks.locator('li.add', {hasText: 'https://api-new.woox.io'}).waitFor();
        await asks.locator('h2', {hasText: 'WOO X 1.0.1 asks for permissions'}).waitFor();
        // While nobody has said yes the old one runs, as it was.
        assert.equal((await plugin()).sha256, old.sha256);
        await section(page, 'Versions').locator('tr', {hasText: '1.0.1'}).getByText('waits for approval').waitFor();
        await changes(watcher, () => legend(watcher), await legend(watcher), 'the chart while it waits');
        // A refused address is not granted; taken back before it is sent.
        await asks.getByRole('checkbox').uncheck();
        await asks.getByRole('button', {name: /^Approve 2 of 3 and run$/}).waitFor();
        await asks.getByRole('checkbox').check();
        await asks.getByRole('button', {name: 'Approve and run'}).click();
        await asks.waitFor({state: 'detached'});
        await section(page, 'Versions').locator('tr', {hasText: '1.0.1'}).getByText('active', {exact: true}).waitFor();
        await page.locator('.head .state.good', {hasText: 'ready'}).waitFor();
        const now = await plugin();
        assert.equal(now.version, '1.0.1');
        assert.ok(now.grants.some(g => g.startsWith('https://api-new.woox.io')) && !now.grants.some(g => g.startsWith('https://api-pub.woox.io')), `granted: ${now.grants}`);
        assert.deepEqual(await section(page, 'Permissions').locator('li').allInnerTexts(), now.grants);
        await shot(page, 'tending-upgraded');
        // Who watches sees it go on, by the new version's records and with its history.
        await changes(watcher, async () => (await stream('ohlcv')).figures.records > before.figures.records, false, 'the records');
        await changes(watcher, () => legend(watcher), await legend(watcher), 'the chart behind the upgrade');
        await changes(watcher, () => watcher.locator('.trades tbody tr').first().innerText(), await watcher.locator('.trades tbody tr').first().innerText(), 'the tape behind the upgrade');
        await frame(watcher, '15m').click();
        await alive(watcher);
        await frame(watcher, '1m').click();
        await alive(watcher);
        assert.ok((await streams()).every(s => s.state === 'live'), 'all streams are live');
        await shot(watcher, 'tending-watched-upgrade');
    });

    test('back to the version before, and the chart goes on again', async () => {
        const records = (await stream('trades')).figures.records;
        await section(page, 'Versions').locator('tr', {hasText: '1.0.0'}).getByRole('button', {name: 'Go back to this'}).click();
        // What it asks for is granted no longer: that is a question again, and Cancel is no answer to it.
        const asks = page.getByRole('region', {name: 'Permissions to approve'});
        await asks.locator('li.add', {hasText: 'https://api-pub.woox.io'}).waitFor();
        await asks.locator('li.gone', {hasText: 'https://api-new.woox.io'}).waitFor();
        await asks.getByRole('button', {name: 'Cancel'}).click();
        await asks.waitFor({state: 'detached'});
        assert.equal((await plugin()).version, '1.0.1');
        await section(page, 'Versions').locator('tr', {hasText: '1.0.0'}).getByRole('button', {name: 'Go back to this'}).click();
        await asks.getByRole('button', {name: 'Approve and run'}).click();
        await asks.waitFor({state: 'detached'});
        await section(page, 'Versions').locator('tr', {hasText: '1.0.0'}).getByText('active', {exact: true}).waitFor();
        const now = await plugin();
        assert.equal(now.version, '1.0.0');
        assert.ok(now.grants.some(g => g.startsWith('https://api-pub.woox.io')), `granted: ${now.grants}`);
        await section(page, 'Versions').locator('tr', {hasText: '1.0.1'}).getByRole('button', {name: 'Go back to this'}).waitFor();
        await changes(watcher, () => watcher.locator('.trades tbody tr').first().innerText(), await watcher.locator('.trades tbody tr').first().innerText(), 'the tape');
        await changes(watcher, async () => (await stream('trades')).figures.records > records, false, 'the records');
        await shot(page, 'tending-rolled-back');
        // A third version that asks for no more than this one: it takes over at once, and the way back is one press.
        await goto(page, 'plugins');
        const third = Buffer.from(readFileSync(join(GUESTS, 'woox.wasm'), 'latin1').replaceAll('"version":"1.0.0"', '"version":"1.0.2"'), 'latin1');
        await page.locator('#plugin-file').setInputFiles({name: 'woox-third.wasm', mimeType: 'application/wasm', buffer: third});
        await toast(page, 'WOO X is installed.').waitFor();
        await section(page, 'Versions').locator('tr', {hasText: '1.0.2'}).getByText('active', {exact: true}).waitFor();
        await section(page, 'Versions').locator('tr', {hasText: '1.0.0'}).getByRole('button', {name: 'Go back to this'}).click();
        await toast(page, 'Now runs 1.0.0.').waitFor();
        await section(page, 'Versions').locator('tr', {hasText: '1.0.0'}).getByText('active', {exact: true}).waitFor();
        assert.equal((await plugin()).version, '1.0.0');
        await changes(watcher, () => legend(watcher), await legend(watcher), 'the chart');
    });

    test('a plugin is loaded anew, disabled and enabled; its streams follow', async () => {
        const begun = async () => (await streams()).map(s => s.since);
        const since = await begun();
        await page.getByRole('button', {name: 'Reload'}).click();
        await toast(page, 'Reloaded.').waitFor();
        await page.locator('.head .state.good', {hasText: 'ready'}).waitFor();
        await changes(watcher, async () => (await streams()).every(s => s.state === 'live'), false, 'the streams behind the reload');
        assert.ok((await begun()).every((at, i) => BigInt(at) > BigInt(since[i])), 'all begin anew');
        await page.getByRole('button', {name: 'Disable'}).click();
        await page.locator('.head .state', {hasText: 'disabled'}).waitFor();
        await page.getByRole('button', {name: 'Enable'}).waitFor();
        await changes(watcher, async () => (await streams()).some(s => s.state === 'live'), true, 'the streams of a disabled plugin');
        await watcher.locator('.bottom .warn', {hasText: /\d+ not live/}).waitFor();
        await watcher.locator('.chart-notes .state').first().waitFor();
        await shot(watcher, 'tending-disabled');
        await page.getByRole('button', {name: 'Enable'}).click();
        await page.locator('.head .state.good', {hasText: 'ready'}).waitFor();
        await changes(watcher, async () => (await streams()).every(s => s.state === 'live'), false, 'the streams of the plugin');
        await watcher.locator('.bottom .warn').waitFor({state: 'detached'});
        await changes(watcher, () => watcher.locator('.trades tbody tr').first().innerText(), await watcher.locator('.trades tbody tr').first().innerText(), 'the tape');
    });

    test('who watched saw no error', () => done(watcher));

    test('a stream is made by the form, begun anew, stopped, started and removed', async () => {
        await goto(page, 'streams/new');
        await page.getByLabel('Type').selectOption('Another type…');
        await page.getByLabel('Name of the type').fill('trades');
        await page.getByLabel('Symbol').fill('SPOT_ETH_USDT');
        await page.getByLabel('Parameters').fill('[1]');
        await page.locator('main').getByRole('button', {name: 'Start'}).click();
        await page.getByText('Parameters: no JSON object.').waitFor();
        await page.getByLabel('Parameters').fill('{"note": "mine"}');
        await page.locator('main').getByRole('button', {name: 'Start'}).click();
        await page.locator('h1', {hasText: 'trades SPOT_ETH_USDT mine'}).waitFor();
        const made = (await streams()).find(s => s.identifier === 'SPOT_ETH_USDT' && s.type === 'trades');
        assert.deepEqual(made.parameters, {note: 'mine'});
        await page.locator('.head .state.good', {hasText: 'live'}).waitFor();
        const rows = section(page, 'Newest records').locator('tbody tr');
        await changes(page, async () => await rows.count() > 1, false, 'the newest records');
        await rows.first().getByText(/(buy|sell) [\d.]+ @ [\d.]+/).waitFor();
        await shot(page, 'tending-stream');
        await accessible(page, 'a stream with its records');
        await page.getByRole('button', {name: 'Restart'}).click();
        await toast(page, 'Restarting.').waitFor();
        await changes(page, async () => (await gaps(made.topic)).some(g => g.cause === 'restart'), false, 'the gap of the restart');
        await section(page, 'Newest records').locator('.warn', {hasText: /Gap: restarted/}).waitFor();
        await page.locator('.head').getByRole('button', {name: /^Stop/}).click();
        await page.locator('.head .state', {hasText: 'off'}).waitFor();
        assert.equal((await ask(server, 'GET', '/v1/streams/' + made.id)).wanted, 'off');
        await page.locator('.head').getByRole('button', {name: /^Start/}).click();
        await page.locator('.head .state.good', {hasText: 'live'}).waitFor();
        await page.getByRole('button', {name: 'Remove'}).click();
        await page.getByRole('group', {name: 'Remove this stream?'}).getByRole('button', {name: 'No'}).click();
        assert.ok((await streams()).some(s => s.id === made.id), 'No is no');
        await page.getByRole('button', {name: 'Remove'}).click();
        await page.getByRole('group', {name: 'Remove this stream?'}).getByRole('button', {name: 'Yes'}).click();
        await page.locator('h1', {hasText: /^Streams$/}).waitFor();
        assert.ok(!(await streams()).some(s => s.id === made.id));
    });

    test('a plugin that traps: which, where in it, at what message, and what became of it', async () => {
        await goto(page, 'plugins');
        await page.locator('#plugin-file').setInputFiles(join(GUESTS, 'streams.wasm'));
        await page.getByRole('button', {name: 'Approve and run'}).click();
        await page.locator('.head .state.good', {hasText: 'ready'}).waitFor();
        await page.getByText('It never trapped.').waitFor();
        const {id} = await ask(server, 'POST', '/v1/connections', {plugin: 'streams', name: 'traps', config: {}});
        const made = await ask(server, 'POST', '/v1/streams', {connection: id, type: 'raw', identifier: 'trade@SPOT_BTC_USDT', parameters: {behaviour: 'trap'}});
        const traps = section(page, 'Last traps');
        await traps.locator('summary b', {hasText: 'unreachable'}).first().waitFor();
        await page.locator('.figures .bad', {hasText: 'Traps'}).waitFor();
        const open = traps.locator('details[open]').first();
        assert.match(await open.locator('pre').first().innerText(), /receive|start_stream/, 'the back-trace names the guest\'s functions');
        await open.getByText(made.topic).waitFor();
        await open.getByText('start_stream', {exact: true}).first().waitFor();
        await open.getByRole('group', {name: 'Last host calls'}).locator('tbody tr').first().waitFor();
        assert.ok(!/\d\.\d{4,}/.test(await open.getByRole('group', {name: 'Last host calls'}).innerText()), 'times as people read them');
        await shot(page, 'tending-trap');
        await accessible(page, 'traps');
        await goto(page, 'streams/' + made.id);
        await page.locator('.why, .trouble', {hasText: 'unreachable'}).first().waitFor();
        await goto(page, 'plugins/streams');
        await page.getByRole('button', {name: 'Remove'}).click();
        await page.getByRole('group', {name: 'Remove it and its 1 connection?'}).getByRole('button', {name: 'Yes'}).click();
        await page.locator('h1', {hasText: /^Plugins$/}).waitFor();
        assert.ok(!(await ask(server, 'GET', '/v1/plugins')).plugins.some(p => p.id === 'streams'));
    });

    test('a sink is made, edited, disabled, enabled and removed; its file says so', async () => {
        await goto(page, 'sinks');
        await page.getByText('No sinks.').waitFor();
        await page.locator('.examples', {hasText: 'redis://'}).waitFor();
        await page.getByRole('button', {name: 'New sink'}).click();
        const dialog = page.getByRole('dialog');
        page.allowed.push(/status of 4\d\d.*\/v1\/sinks/);
        await dialog.getByLabel('Name').fill('tape');
        await dialog.getByLabel('Where to').fill('nowhere:at all');
        await dialog.getByLabel('Pattern').fill('trades.>');
        await dialog.getByRole('button', {name: 'Save'}).click();
        await dialog.getByRole('alert').waitFor();
        const file = join(folder, 'tape.ndjson');
        await dialog.getByLabel('Where to').fill('ndjson:' + file);
        await dialog.getByRole('button', {name: 'Save'}).click();
        await dialog.waitFor({state: 'detached'});
        const row = page.locator('main tbody tr', {hasText: 'tape'});
        await row.locator('.state.good', {hasText: 'open'}).waitFor();
        const away = await ask(server, 'POST', '/v1/sinks', {spec: 'redis://127.0.0.1:1'});
        await page.locator('main tbody tr .why', {hasText: 'cannot be reached'}).waitFor(); // the reason is in the list, not only at a pointer
        await ask(server, 'DELETE', '/v1/sinks/' + away.id);
        const lines = () => (existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n').filter(Boolean).map(l => JSON.parse(l)) : []);
        await changes(page, () => lines().length > 2, false, 'the file');
        assert.ok(lines().every(r => r.type === 'trades'));
        await changes(page, async () => Number(await row.locator('td').nth(4).innerText()) > 0, false, 'what the page says was written');
        await row.click();
        const one = section(page, 'tape');
        await one.getByRole('button', {name: 'Edit'}).click();
        await dialog.getByLabel('Pattern').fill('ticker.>');
        await dialog.getByLabel('Connection').selectOption('1');
        const sent = page.waitForRequest(r => r.method() === 'PATCH' && r.url().includes('/v1/sinks/'));
        await dialog.getByRole('button', {name: 'Save'}).click();
        assert.deepEqual(JSON.parse((await sent).postData()), {pattern: 'ticker.>', connection: 1}, 'only what was changed is sent: an address is answered without its password');
        await dialog.waitFor({state: 'detached'});
        await row.getByText('ticker.>').waitFor();
        await row.getByText('#1').waitFor();
        await changes(page, () => lines().some(r => r.type === 'ticker'), false, 'what goes into the file');
        await shot(page, 'tending-sink');
        await accessible(page, 'a sink');
        await one.getByRole('button', {name: 'Disable'}).click();
        await row.locator('.state', {hasText: 'disabled'}).waitFor();
        const size = lines().length;
        await page.waitForTimeout(1500);
        assert.equal(lines().length, size, 'a disabled sink takes nothing');
        await one.getByRole('button', {name: 'Enable'}).click();
        await row.locator('.state.good', {hasText: 'open'}).waitFor();
        await one.getByRole('button', {name: 'Remove'}).click();
        await one.getByRole('button', {name: 'Yes'}).click();
        await page.getByText('No sinks.').waitFor();
        assert.deepEqual((await ask(server, 'GET', '/v1/sinks')).sinks, []);
    });

    test('a token is made, seen once, used, and revoked: whoever is there by it is out', async () => {
        await goto(page, 'settings');
        const tokens = section(page, 'Tokens');
        await tokens.getByLabel('Name').fill('wall display');
        await tokens.getByLabel('Scope').selectOption('read');
        await tokens.getByRole('button', {name: 'Make a token'}).click();
        const text = await tokens.locator('.once code').innerText();
        await shot(page, 'tending-token');
        await accessible(page, 'a new token');
        const guest = await open();
        guest.allowed.push(/401/, /WebSocket connection/);
        await guest.goto(`${server.origin}/#token=${text}`);
        await alive(guest);
        await goto(guest, 'settings');
        await guest.getByText('wall display').first().waitFor();
        assert.equal(await section(guest, 'Tokens').count(), 0, 'a reader sees no tokens');
        await tokens.locator('.once').getByRole('button', {name: 'Close'}).click();
        await page.reload();
        const row = tokens.locator('tbody tr', {hasText: 'wall display'});
        await row.waitFor();
        assert.ok(!(await page.content()).includes(text), 'its text is not shown again');
        await row.getByRole('button', {name: 'Revoke'}).click();
        await row.getByRole('button', {name: 'Yes'}).click();
        await row.waitFor({state: 'detached'});
        await guest.getByLabel('Token').waitFor();
        const r = await fetch(server.origin + '/v1/streams', {headers: {Authorization: `Bearer ${text}`}});
        assert.equal(r.status, 401);
        await done(guest);
    });

    test('a gap over the end of a bar stays a gap, until it is filled from the venue', async () => {
        await goto(page, 'market');
        await watchRow(page, 'SPOT_BTC_USDT').click();
        await frame(page, '1m').click();
        await alive(page);
        const second = () => Math.floor(Date.now() / 1000) % 60;
        while (second() < 57) await page.waitForTimeout(200);
        const {port} = market;
        await market.kill();
        while (second() > 50 || second() < 2) await page.waitForTimeout(200);
        // The host asks the venue's history by itself; this venue has none to give for now.
        market = await venue(WEIR, ['--rate', '4', '--fault', '5xx:p=1'], log, port);
        const note = page.locator('.gap-note', {hasText: /\d gaps?: disconnected/});
        const topic = (await stream('ohlcv')).topic;
        await changes(page, async () => (await ask(server, 'GET', `/v1/history?pattern=${topic}&kinds=status&order=desc&format=json&limit=20`)).records.some(r => r.state === 'unfilled'), false, 'the host\'s own try');
        await note.waitFor();
        page.allowed.push(/status of 5\d\d.*getOHLCV/);
        await note.getByRole('button', {name: 'Fill from the venue'}).click();
        await page.locator('.toast.bad').first().waitFor();
        assert.equal(await note.count(), 1, 'what did not come is still missing');
        await market.kill();
        market = await venue(WEIR, ['--rate', '4'], log, port);
        await changes(page, async () => (await streams()).every(s => s.state === 'live'), false, 'the streams');
        await page.waitForTimeout(2500);
        assert.ok(await page.locator('.gap-note').count(), 'the bar that ended in the first gap is not whole by itself');
        assert.equal(await hasColour(page, page.locator('.chart-canvas'), WARN), true, 'a band marks it');
        await shot(page, 'tending-gap');
        const asked = page.waitForRequest(r => r.url().includes('/commands/getOHLCV'));
        await page.locator('.gap-note').getByRole('button', {name: 'Fill from the venue'}).click();
        await asked;
        await page.locator('.gap-note').waitFor({state: 'detached'});
        await page.waitForTimeout(500);
        assert.equal(await hasColour(page, page.locator('.chart-canvas'), WARN), false, 'what is whole is not marked');
        await shot(page, 'tending-filled');
    });

    test('a connection that breaks: what came meanwhile is caught up whole, and the page says so', async t => {
        const line = await wire(server.port);
        t.after(() => line.close());
        const p = await open();
        p.allowed.push(/401.*\/v1\/session/, /ERR_CONNECTION_(RESET|CLOSED)|ERR_EMPTY_RESPONSE|ERR_SOCKET_NOT_CONNECTED|WebSocket connection|Failed to fetch/);
        await p.goto(`${line.origin}/#token=${server.token}`);
        await alive(p);
        await p.locator('.trades tbody tr').first().waitFor();
        const counts = () => Promise.all(['ticker', 'bbo', 'trades', 'orderbook'].map(async type => (await stream(type)).figures.records));
        const told = await counts(); // a gap of the test before is told with a stream's next record
        await changes(p, async () => (await counts()).every((n, i) => n > told[i]), false, 'a stream since the gap before');
        line.cut();
        await p.locator('.banner.bad', {hasText: 'Connection lost'}).waitFor();
        const records = (await stream('trades')).figures.records;
        await changes(p, async () => (await stream('trades')).figures.records > records + 12, false, 'what comes meanwhile');
        line.mend();
        await p.getByRole('button', {name: 'Try now'}).click().catch(() => {}); // it may have come back by itself
        const missed = p.locator('.banner.missed');
        await missed.waitFor();
        await changes(p, async () => /Back after [\d.]+s\. [1-9]\d+ records caught up from history\.\s+No gap was reported\./.test(await missed.innerText()), false, 'what the page says of it');
        await shot(p, 'tending-caught-up');
        const topic = (await stream('trades')).topic;
        const kept = async () => (await ask(server, 'GET', `/v1/history?pattern=${topic}&kinds=data&order=desc&format=json&limit=40`)).records.map(r => Number(r.data.price).toFixed(2));
        const shown = () => p.locator('.trades tbody tr .price').evaluateAll(list => list.map(td => td.innerText.replace(/,/g, '')));
        await changes(p, async () => { const all = await kept(); return (await shown()).join(' ').includes(all.slice(0, 30).join(' ')); }, false, 'the tape, all of it');
        await missed.getByRole('button', {name: 'Close'}).click();
        await missed.waitFor({state: 'detached'});
        await done(p);
    });

    test('a layout is kept: over a reload, and on another machine', async () => {
        await page.getByRole('button', {name: '2 charts'}).click();
        const pane = n => page.locator('.chart').nth(n);
        await pane(1).locator('.frame-choice').selectOption('15m');
        await pane(1).getByLabel('Symbol').selectOption('woox-datasource SPOT_ETH_USDT');
        await pane(1).getByRole('button', {name: 'log', exact: true}).click();
        await page.getByLabel('Order', {exact: true}).selectOption('By name');
        await page.getByLabel('Levels', {exact: true}).selectOption('20');
        await page.getByLabel('Order', {exact: true}).selectOption('As added');
        await watchRow(page, 'SPOT_SOL_USDT').focus();
        await page.keyboard.press('Alt+ArrowUp');
        const order = () => page.locator('.watch tbody th').evaluateAll(list => list.map(th => th.firstChild.textContent));
        assert.deepEqual(await order(), ['SPOT_BTC_USDT', 'SPOT_SOL_USDT', 'SPOT_ETH_USDT']);
        assert.match(await page.evaluate(() => document.activeElement.innerText), /SOL/, 'the focus goes with the row');
        await watchRow(page, 'SPOT_ETH_USDT').focus();
        await page.keyboard.press('Delete');
        await page.getByRole('button', {name: 'Show 1 hidden'}).waitFor();
        const looks = async p => {
            await p.waitForFunction(() => document.querySelectorAll('.chart').length === 2);
            await p.getByRole('button', {name: 'Show 1 hidden'}).waitFor();
            assert.deepEqual(await p.locator('.frame-choice').evaluateAll(list => list.map(s => s.value)), ['1m', '15m']);
            assert.deepEqual(await p.locator('.chart .symbol').evaluateAll(list => list.map(s => s.value)), ['woox-datasource SPOT_BTC_USDT', 'woox-datasource SPOT_ETH_USDT']);
            assert.deepEqual(await p.locator('.chart .scale').evaluateAll(list => list.map(s => s.getAttribute('aria-pressed'))), ['false', 'true']);
            assert.equal(await p.getByLabel('Levels', {exact: true}).inputValue(), '20');
            assert.deepEqual(await p.locator('.watch tbody th').evaluateAll(list => list.map(th => th.firstChild.textContent)), ['SPOT_BTC_USDT', 'SPOT_SOL_USDT']);
        };
        await page.reload(); // at once: what was just done is kept, too
        await looks(page);
        await shot(page, 'tending-layout');
        const other = await open();
        other.allowed.push(/401.*\/v1\/session/);
        await other.goto(server.url);
        await looks(other);
        await done(other);
        await page.getByRole('button', {name: 'Show 1 hidden'}).click();
        await page.getByRole('button', {name: 'One chart'}).click();
    });

    test('the book in steps, the trades from a size on, back to the newest bar', async () => {
        await watchRow(page, 'SPOT_BTC_USDT').click();
        await page.waitForFunction(() => document.querySelectorAll('.book tr.bid').length > 5);
        await page.getByLabel('Step of price').selectOption('1000');
        const prices = side => page.locator(`.book tr.${side} .price`).evaluateAll(list => list.map(td => td.innerText.replace(/,/g, '')));
        await page.waitForFunction(() => [...document.querySelectorAll('.book tr.bid .price')].every(td => /0\.00$/.test(td.innerText)));
        const [bids, asks] = [await prices('bid'), await prices('ask')];
        assert.ok([...bids, ...asks].every(p => Number(p) % 10 === 0), `steps of 10: ${bids} ${asks}`);
        assert.equal(new Set([...bids, ...asks]).size, bids.length + asks.length, 'each step once');
        await page.getByLabel('Step of price').selectOption('1');
        const least = page.getByLabel('Only trades of at least this size');
        await least.fill('1');
        await page.waitForFunction(() => { const rows = [...document.querySelectorAll('.trades tbody tr:not(.gap) td:last-child')]; return rows.length > 0 && rows.every(td => parseFloat(td.innerText) >= 1); });
        await least.fill('9999999');
        await page.getByText('No trade of this size.').waitFor();
        await least.fill('');
        await page.locator('.trades tbody tr').first().waitFor();
        await page.locator('.chart-canvas').focus();
        await page.keyboard.press('Home');
        await page.getByRole('button', {name: 'To the newest bar'}).click();
        await page.getByRole('button', {name: 'To the newest bar'}).waitFor({state: 'detached'});
        await page.locator('.chart-notes', {hasText: /closes in \d+s|closes in 0\.\ds/}).waitFor();
    });

    test('what nobody started is started where it is missed', async () => {
        await watchRow(page, 'SPOT_SOL_USDT').click();
        await page.getByText('No order book stream for this symbol.').waitFor();
        await page.locator('.ladder').getByRole('button', {name: 'Start it'}).click();
        await page.waitForFunction(() => document.querySelectorAll('.book tr.bid').length > 5);
        await page.locator('.tape').getByRole('button', {name: 'Start it'}).click();
        await page.locator('.trades tbody tr').first().waitFor();
        await page.locator('.chart-notes', {hasText: 'made of trades'}).getByRole('button', {name: 'Start candles'}).click();
        await changes(page, async () => (await streams()).some(s => s.type === 'ohlcv' && s.identifier === 'SPOT_SOL_USDT' && s.parameters.timeframe === '1m'), false, 'the streams');
        await page.locator('.chart-notes', {hasText: 'made of trades'}).waitFor({state: 'detached'});
        await alive(page);
        await watchRow(page, 'SPOT_BTC_USDT').click();
    });

    test('one symbol by two connections: each has its own row, chart, tape, streams and history', async () => {
        const first = (await ask(server, 'GET', '/v1/connections')).connections[0];
        const second = await ask(server, 'POST', '/v1/connections', {plugin: 'woox-datasource', name: 'second account', config: {api_key: 'k', api_secret: 's'}});
        await page.keyboard.press('a');
        const dialog = page.getByRole('dialog');
        await dialog.getByLabel('Connection').selectOption(String(second.id));
        await dialog.locator('tr', {hasText: 'SPOT_BTC_USDT'}).click();
        await dialog.waitFor({state: 'detached'});
        const rows = watchRow(page, 'SPOT_BTC_USDT');
        await changes(page, () => rows.count(), 1, 'the rows of the symbol');
        assert.deepEqual(await rows.locator('.tag').allInnerTexts(), [first.name, 'second account']);
        assert.equal(await page.locator('.chart .symbol option:checked').innerText(), 'SPOT_BTC_USDT · second account');
        await alive(page);
        await page.locator('.health', {hasText: 'SPOT_BTC_USDT · second account'}).locator('tbody tr').nth(4).waitFor();
        assert.equal(await page.locator('.health tbody tr').count(), 5, 'the streams of this one only');
        const tape = () => page.locator('.trades tbody tr').first().innerText();
        await changes(page, tape, await tape(), 'the tape of the second');
        const trades = (await streams()).filter(s => s.type === 'trades' && s.identifier === 'SPOT_BTC_USDT');
        assert.equal(trades.length, 2);
        assert.equal(trades[0].topic, trades[1].topic);
        await ask(server, 'PATCH', '/v1/streams/' + trades.find(s => s.connection === second.id).id, {wanted: 'off'});
        await page.locator('.tape .state', {hasText: 'off'}).waitFor();
        await page.waitForTimeout(500);
        const still = await tape();
        await page.waitForTimeout(2500);
        assert.equal(await tape(), still, 'what the first brings is not the second\'s');
        await shot(page, 'tending-two-connections');
        await accessible(page, 'two connections');
        await rows.nth(0).click();
        await changes(page, tape, await tape(), 'the tape of the first');
        assert.equal(await page.locator('.tape .state').count(), 0);
        await page.reload();
        await alive(page);
        assert.equal(await page.locator('.chart .symbol option:checked').innerText(), `SPOT_BTC_USDT · ${first.name}`);
        await goto(page, 'streams');
        await page.getByLabel('Filter').fill('trades btc second');
        await page.waitForFunction(() => document.querySelectorAll('main tbody tr').length === 1);
        assert.match(await page.locator('main tbody tr').first().innerText(), /second account[^]*off/);
        await goto(page, 'history');
        const kept = section(page, 'What is kept').locator('tbody tr', {hasText: trades[0].topic});
        await changes(page, () => kept.count(), 0, 'what is kept');
        assert.equal(await kept.count(), 2);
        await kept.filter({hasText: 'second account'}).getByRole('link').click();
        await page.getByRole('button', {name: 'Query'}).click();
        const found = section(page, 'Query').locator('tbody tr');
        await found.first().waitFor();
        const total = Number((await kept.filter({hasText: 'second account'}).locator('td').nth(2).innerText()).replace(/,/g, ''));
        assert.ok(await found.count() <= total, `${await found.count()} of ${total}: those of the second only`);
        await ask(server, 'DELETE', `/v1/connections/${second.id}?force=1`);
        await goto(page, 'market');
        await changes(page, () => rows.count(), 2, 'the rows of the symbol');
        assert.equal(await rows.locator('.tag').count(), 0, 'alone again, it needs no other name');
        await alive(page);
    });

    test('by keys alone: every stop of Tab is in sight and shows it; dialogs keep the focus and give it back', async () => {
        for (const name of ['market', 'plugins', 'plugins/woox-datasource', 'connections/1', 'streams', 'history', 'sinks', 'audit', 'settings']) {
            await goto(page, name);
            await page.locator('main h1').first().waitFor({state: 'attached'});
            await page.waitForTimeout(400);
            const stops = await tabStops(page);
            assert.ok(stops.length > 12 && stops.length < 200, `${name}: ${stops.length} stops`);
            assert.match(stops[0].name, /Skip to the page/, name);
            assert.deepEqual(stops.filter(s => !s.shows).map(s => s.name), [], `${name}: one does not see where the focus is`);
            assert.deepEqual(stops.filter(s => !s.seen).map(s => s.name), [], `${name}: the focus goes where nobody sees it`);
        }
        // A dialog keeps the focus, and gives it back.
        await goto(page, 'sinks');
        await page.getByRole('button', {name: 'New sink'}).focus();
        await page.keyboard.press('Enter');
        await page.getByRole('dialog').waitFor();
        for (let i = 0; i < 12; i++) {
            await page.keyboard.press('Tab');
            assert.ok(await page.evaluate(() => document.activeElement === document.body || !!document.activeElement.closest('dialog')), 'the focus stays in the dialog');
        }
        await page.keyboard.press('Escape');
        await page.getByRole('dialog').waitFor({state: 'detached'});
        assert.equal(await page.evaluate(() => document.activeElement.textContent), 'New sink');
        await done(page);
    });
});
