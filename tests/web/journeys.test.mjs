// The ten main journeys through the web terminal, by a real browser, on the real `weir serve`.
//
// Two daemons: one of --demo, and one that begins empty, with a venue of its own that can be taken away. The journeys of each
// follow one another as a user's day does.
import assert from 'node:assert/strict';
import {mkdtempSync, readFileSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {after, before, describe, test} from 'node:test';
import {accessible, bar, changes, done, frame, goto, hasColour, legend, alive, WARN, watchRow} from './page.mjs';
import {ask, serve, venue} from './serve.mjs';
import {GUESTS, log, open, shot, WEIR} from './setting.mjs';

describe('the demo', () => {
    let server, page;
    before(async () => { server = await serve(WEIR, ['--demo', '--listen-port', '0'], log); });
    after(async () => { await server?.stop(); });

    test('1 a first visit shows something alive', async () => {
        page = await open();
        page.allowed.push(/401.*\/v1\/session/); // asked before a token is there
        const start = Date.now();
        await page.goto(server.url);
        await alive(page);
        await page.waitForFunction(() => document.querySelectorAll('.trades tbody tr').length > 0 && document.querySelectorAll('.book tbody tr').length > 4);
        console.log(`# alive after ${Date.now() - start} ms`);
        assert.ok(!page.url().includes('token'), 'the token is taken out of the address');
        await page.waitForFunction(() => /\d/.test(document.querySelector('.watch td.price')?.innerText ?? ''));
        await changes(page, () => page.locator('.trades').innerText(), await page.locator('.trades').innerText(), 'the tape');
        await shot(page, 'journey-1-first-visit');
    });

    test('2 watch a symbol of twelve decimals and switch the time frame', async () => {
        await page.keyboard.press('a');
        await page.getByRole('dialog').waitFor();
        await page.getByRole('dialog').getByRole('searchbox').fill('PEPE');
        await page.getByRole('dialog').locator('tr', {hasText: 'SPOT_PEPE_USDT'}).click();
        await watchRow(page, 'SPOT_PEPE_USDT').waitFor();
        await page.waitForFunction(() => [...document.querySelectorAll('.watch tbody tr')].some(r => /PEPE/.test(r.innerText) && /0\.\d{12}/.test(r.querySelector('td.price').innerText)));
        await frame(page, '5m').click();
        await alive(page);
        await page.getByText('put together of 1m bars').waitFor();
        // A bar that is over is, digit for digit, what the plugin's own history says.
        await page.locator('.chart-canvas').focus();
        for (let i = 0; i < 3; i++) await page.keyboard.press('ArrowLeft');
        const shown = await bar(page);
        const streams = (await ask(server, 'GET', '/v1/streams')).streams;
        const connection = streams.find(s => s.identifier === 'SPOT_PEPE_USDT').connection;
        const {result} = await ask(server, 'POST', `/v1/connections/${connection}/commands/getOHLCV`, {symbol: 'SPOT_PEPE_USDT', timeframe: '5m', limit: 6});
        const zeros = text => text + '0'.repeat(12 - (text.split('.')[1] ?? '').length);
        assert.ok(result.some(c => ['open', 'high', 'low', 'close'].every(k => zeros(c[k]) === shown[k])), `${shown.text} is none of ${JSON.stringify(result)}`);
        assert.match(shown.close, /^0\.\d{12}$/);
        await shot(page, 'journey-2-twelve-decimals');
        // Back in time: more history is asked for as one goes there.
        const asked = page.waitForRequest(r => r.url().includes('/commands/getOHLCV') && /endTime/.test(r.postData() ?? ''));
        await page.keyboard.press('Home');
        await asked;
        // And the layout is kept.
        await page.waitForTimeout(800);
        await page.reload();
        await alive(page);
        assert.equal(await frame(page, '5m').getAttribute('aria-pressed'), 'true');
        assert.match(await watchRow(page, 'SPOT_PEPE_USDT').getAttribute('class'), /selected/);
    });

    test('4 the book and the trades move, and add up', async () => {
        await watchRow(page, 'SPOT_BTC_USDT').click();
        await page.waitForFunction(() => document.querySelectorAll('.book tr.bid').length >= 5 && document.querySelectorAll('.book tr.ask').length >= 5);
        const book = () => page.evaluate(() => {
            const side = name => [...document.querySelectorAll('.book tr.' + name)].map(r => r.querySelector('.price').innerText.replace(/,/g, ''));
            return {asks: side('ask'), bids: side('bid'), spread: document.querySelector('.book .middle span').innerText};
        });
        const b = await book();
        assert.deepEqual(b.asks, [...b.asks].sort((x, y) => y - x), 'asks rise away from the middle');
        assert.deepEqual(b.bids, [...b.bids].sort((x, y) => y - x), 'bids fall away from the middle');
        const cents = t => BigInt(t.replace('.', ''));
        assert.equal(BigInt(/Spread ([\d,.]+)/.exec(b.spread)[1].replace(/[,.]/g, '')), cents(b.asks[b.asks.length - 1]) - cents(b.bids[0]), 'the spread is exact');
        await changes(page, async () => JSON.stringify(await book()), JSON.stringify(b), 'the book');
        await changes(page, () => page.locator('.trades tbody tr').first().innerText(), await page.locator('.trades tbody tr').first().innerText(), 'the tape');
        assert.equal(await page.locator('.ladder .warning').count(), 0, 'the book is whole');
        await page.getByRole('button', {name: '4 charts'}).click();
        await page.waitForFunction(() => [...document.querySelectorAll('.chart .legend')].filter(l => /C\s/.test(l.innerText)).length === 4);
        await page.waitForTimeout(1000);
        await shot(page, 'journey-4-four-charts');
        await page.getByRole('button', {name: 'One chart'}).click();
    });

    test('8 history is queried and exported', async () => {
        await goto(page, 'history');
        await page.getByRole('link', {name: /^trades\.woox-datasource\.SPOT_BTC_USDT$/}).click();
        await page.waitForFunction(() => [...document.querySelectorAll('main input')].some(i => i.value === 'trades.woox-datasource.SPOT_BTC_USDT'));
        await page.getByRole('button', {name: 'Query'}).click();
        await page.locator('section[aria-label="Query"] tbody tr').first().waitFor();
        await shot(page, 'journey-8-history');
        const download = async () => {
            const [d] = await Promise.all([page.waitForEvent('download'), page.getByRole('link', {name: 'Export'}).click()]);
            return readFileSync(await d.path(), 'utf8');
        };
        const records = (await download()).trim().split('\n').map(l => JSON.parse(l));
        assert.ok(records.length > 3 && records.every(r => r.type === 'trades' && r.identifier === 'SPOT_BTC_USDT'));
        const seqs = records.filter(r => r.seq).map(r => BigInt(r.seq));
        assert.ok(seqs.every((s, i) => i === 0 || s > seqs[i - 1]), 'in order, none twice');
        await page.getByLabel('Format').selectOption('csv');
        const csv = (await download()).trim().split('\n');
        assert.match(csv[0], /seq/);
        assert.ok(csv.length >= records.length);
    });

    test('9 everything by keys alone', async () => {
        await goto(page, 'market');
        await alive(page);
        await page.evaluate(() => document.activeElement?.blur());
        await page.keyboard.press('Control+k');
        await page.locator('.palette input:focus').waitFor();
        await page.keyboard.type('page streams');
        await page.keyboard.press('Enter');
        await page.locator('h1', {hasText: 'Streams'}).waitFor();
        await page.keyboard.press('/');
        await page.keyboard.type('ticker eth');
        await page.waitForFunction(() => document.querySelectorAll('main tbody tr').length === 1);
        await page.keyboard.press('Escape');
        for (let i = 0; i < 12 && await page.evaluate(() => document.activeElement?.tagName) !== 'TR'; i++) await page.keyboard.press('Tab');
        const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
        assert.notEqual(outline, 'none', 'one sees where the focus is');
        await page.keyboard.press('Enter');
        await page.locator('h1', {hasText: 'ticker SPOT_ETH_USDT'}).waitFor();
        await page.keyboard.press('g');
        await page.keyboard.press('m');
        await alive(page);
        const selected = () => page.locator('.watch tr.selected th').evaluate(th => th.firstChild.textContent); // its age would change by itself
        const first = await selected();
        await page.keyboard.press(']');
        assert.notEqual(await changes(page, selected, first, 'the symbol'), first);
        await page.keyboard.press('4');
        await page.waitForFunction(() => document.querySelectorAll('.frames button')[3].getAttribute('aria-pressed') === 'true');
        await page.keyboard.press('?');
        await page.getByRole('dialog', {name: 'Keys'}).waitFor();
        await shot(page, 'journey-9-keys');
        await page.keyboard.press('Escape');
        await page.getByRole('dialog').waitFor({state: 'detached'});
        await page.keyboard.press('Control+k');
        await page.locator('.palette input:focus').waitFor();
        await page.keyboard.type('light and dark');
        await shot(page, 'journey-9-palette');
        await page.keyboard.press('Enter');
        await page.waitForFunction(() => document.documentElement.dataset.theme === 'light');
        await page.keyboard.press('Control+k');
        await page.locator('.palette input:focus').waitFor();
        await page.keyboard.type('light and dark');
        await page.keyboard.press('Enter');
        await page.waitForFunction(() => document.documentElement.dataset.theme === 'dark');
        await done(page);
    });
});

describe('an installation of one\'s own', () => {
    const folder = mkdtempSync(join(tmpdir(), 'weir-web-'));
    let market, server, page, args;
    before(async () => {
        market = await venue(WEIR, ['--rate', '6'], log);
        args = ['--data-dir', join(folder, 'data'), '--venues-retry-max', '1s', ...market.overrides];
        server = await serve(WEIR, [...args, '--listen-port', '0'], log);
    });
    after(async () => {
        await server?.stop();
        await market?.stop();
        rmSync(folder, {recursive: true, force: true});
    });

    test('5 an empty one says what to do; a plugin is uploaded, asks, is approved; a new version asks for the difference', async () => {
        page = await open();
        page.allowed.push(/401.*\/v1\/session/);
        await page.goto(server.origin);
        await page.getByLabel('Token').fill('weir_wrong');
        page.allowed.push(/401/);
        await page.getByRole('button', {name: 'Enter'}).click();
        await page.getByRole('alert').waitFor();
        await shot(page, 'journey-5-login');
        await page.getByLabel('Token').fill(server.token);
        await page.getByRole('button', {name: 'Enter'}).click();
        await page.locator('h1', {hasText: 'Nothing runs here yet'}).waitFor();
        await shot(page, 'journey-5-empty');
        await accessible(page, 'an empty installation');
        await page.locator('#plugin-file').setInputFiles({name: 'notes.txt', mimeType: 'text/plain', buffer: Buffer.from('no module')});
        await page.getByText('notes.txt is no WebAssembly module').waitFor();
        page.allowed.push(/status of 4\d\d.*\/v1\/plugins/);
        await page.locator('#plugin-file').setInputFiles(join(GUESTS, 'truncated.wasm'));
        await page.locator('.drop .trouble', {hasNotText: 'notes.txt'}).waitFor();
        await page.locator('#plugin-file').setInputFiles(join(GUESTS, 'woox.wasm'));
        const asks = page.getByRole('region', {name: 'Permissions to approve'});
        await asks.waitFor();
        await asks.getByText('wss://wss.woox.io').waitFor();
        assert.equal((await ask(server, 'GET', '/v1/plugins/woox-datasource')).grants.length, 0, 'nothing is granted before');
        await shot(page, 'journey-5-asks');
        await accessible(page, 'permissions');
        await asks.getByRole('button', {name: 'Approve and run'}).click();
        await asks.waitFor({state: 'detached'});
        await page.locator('.head .state.good', {hasText: 'ready'}).waitFor();
        const granted = (await ask(server, 'GET', '/v1/plugins/woox-datasource')).grants;
        assert.ok(granted.some(g => g.startsWith('wss://wss.woox.io')));
        // The next version wants to go somewhere else.
        const next = readFileSync(join(GUESTS, 'woox.wasm'), 'latin1').replaceAll('https://api-pub.woox.io', 'https://api-new.woox.io');
        await goto(page, 'plugins');
        await page.locator('#plugin-file').setInputFiles({name: 'woox-next.wasm', mimeType: 'application/wasm', buffer: Buffer.from(next, 'latin1')});
        await asks.waitFor();
        await asks.locator('li.add', {hasText: 'https://api-new.woox.io'}).waitFor();
        await asks.locator('li.gone', {hasText: 'https://api-pub.woox.io'}).waitFor();
        await shot(page, 'journey-5-difference');
        await asks.getByRole('button', {name: 'Reject'}).click();
        await asks.waitFor({state: 'detached'});
        assert.deepEqual((await ask(server, 'GET', '/v1/plugins/woox-datasource')).grants, granted, 'what was rejected changed nothing');
    });

    test('6 a connection is configured; its secret goes in and never comes out', async () => {
        await goto(page, 'connections/new');
        await page.getByLabel('Name', {exact: true}).fill('main \u202e<img src=x onerror=alert(1)>\u0007');
        await page.getByLabel('API key').fill('key-of-mine');
        const secret = page.getByLabel('API secret');
        assert.equal(await secret.getAttribute('type'), 'password');
        await secret.fill('s3cret-of-mine');
        await shot(page, 'journey-6-form');
        await page.getByRole('button', {name: 'Create'}).click();
        await page.locator('h1', {hasText: 'main \\u{202e}<img src=x onerror=alert(1)>\\u{7}'}).waitFor();
        assert.equal(await page.locator('main img').count(), 0, 'a name is text');
        await page.waitForFunction(() => document.querySelector('input[type=password]')?.placeholder === 'kept, not shown');
        const told = await ask(server, 'GET', '/v1/connections');
        assert.ok(!JSON.stringify(told).includes('s3cret'), 'the API does not tell it');
        assert.deepEqual(told.connections[0].secrets_set, ['api_key', 'api_secret']);
        assert.ok(!(await page.content()).includes('s3cret'), 'nor does the page');
        await page.getByRole('button', {name: 'Test'}).click();
        await page.getByText(/^Works \(\d+ ms\)/).waitFor();
        await page.getByLabel('Name', {exact: true}).fill('main');
        await page.getByRole('button', {name: 'Save'}).click();
        await page.locator('h1', {hasText: /^main$/}).waitFor();
        assert.deepEqual((await ask(server, 'GET', '/v1/connections')).connections[0].secrets_set, ['api_key', 'api_secret'], 'left empty, it is kept');
        await shot(page, 'journey-6-connection');
    });

    test('7 streams are started, stopped, started again', async () => {
        await goto(page, 'market');
        await page.keyboard.press('Control+k');
        await page.locator('.palette input:focus').waitFor();
        await page.keyboard.type('add a symbol');
        await page.keyboard.press('Enter');
        await page.getByRole('dialog').locator('tr', {hasText: 'SPOT_BTC_USDT'}).click();
        await alive(page);
        await goto(page, 'streams');
        const row = page.locator('main tbody tr').filter({hasText: 'trades'});
        await row.locator('.state.good').waitFor();
        await row.getByRole('button').click();
        await row.locator('.state', {hasText: 'off'}).waitFor();
        const trades = async () => (await ask(server, 'GET', '/v1/streams')).streams.find(s => s.type === 'trades');
        assert.deepEqual([(await trades()).wanted, (await trades()).state], ['off', 'off']);
        await shot(page, 'journey-7-stopped');
        await row.getByRole('button').click();
        await row.locator('.state', {hasText: 'live'}).waitFor();
        const before = (await trades()).figures.records;
        await changes(page, async () => (await trades()).figures.records > before, false, 'the records of the stream');
    });

    test('who may only read sees the market, from what Weir keeps, and no button that would be refused', async () => {
        const {token} = await ask(server, 'POST', '/v1/tokens', {name: 'visitor', scope: 'read'});
        const p = await open();
        await p.goto(`${server.origin}/#token=${token}`);
        await alive(p);
        await p.locator('.trades tbody tr').first().waitFor();
        assert.equal(await p.getByRole('button', {name: 'Add', exact: true}).count(), 0);
        await goto(p, 'streams');
        await p.locator('main tbody tr').first().waitFor();
        assert.equal(await p.locator('main tbody button').count(), 0);
        await goto(p, 'audit');
        await p.getByText('A token with the scope admin sees the audit.').waitFor();
        await done(p);
    });

    /** Steps back in the chart until the legend tells of the hole. */
    async function findHole() {
        await page.locator('.chart-canvas').focus();
        for (let i = 0; i < 60; i++) {
            await page.keyboard.press('ArrowLeft');
            const text = await legend(page);
            if (/No data/.test(text)) return text;
        }
        return assert.fail('no bar of the chart says that there is no data');
    }

    test('3 a gap is drawn as a gap', async () => {
        await goto(page, 'market');
        await frame(page, '1s').click();
        await alive(page);
        await page.waitForTimeout(3000);
        assert.equal(await page.locator('.gap-note').count(), 0);
        assert.equal(await hasColour(page, page.locator('.chart-canvas'), WARN), false);
        await market.kill();
        await page.waitForTimeout(4000);
        market = await venue(WEIR, ['--rate', '6'], log, market.port);
        await page.locator('.gap-note', {hasText: /disconnected/}).waitFor();
        await page.locator('.trades tr.gap').waitFor();
        await page.waitForTimeout(1500);
        assert.equal(await hasColour(page, page.locator('.chart-canvas'), WARN), true, 'the band over the gap');
        assert.match(await findHole(), /No data: disconnected/);
        await shot(page, 'journey-3-gap');
    });

    test('10 the daemon is killed and comes back: the page does, too, and says what was missed', async () => {
        await page.evaluate(() => document.activeElement?.blur());
        page.allowed.push(/ERR_CONNECTION_(REFUSED|RESET|CLOSED)|ERR_EMPTY_RESPONSE|WebSocket connection|Failed to fetch/);
        const {port, token} = server;
        await server.kill();
        await page.locator('.banner.bad', {hasText: 'Connection lost'}).waitFor();
        await shot(page, 'journey-10-lost');
        await page.waitForTimeout(3000);
        server = {...await serve(WEIR, [...args, '--listen-port', String(port)], log), token};
        const missed = page.locator('.banner.missed');
        await missed.waitFor();
        await page.locator('.banner.missed .missed-gap').first().waitFor();
        assert.match(await missed.innerText(), /Back after .*gap/s);
        await changes(page, () => page.locator('.trades tbody tr').first().innerText(), await page.locator('.trades tbody tr').first().innerText(), 'the tape');
        await alive(page);
        await page.waitForTimeout(1500);
        await shot(page, 'journey-10-back');
        await accessible(page, 'what was missed');
        await done(page);
    });
});
