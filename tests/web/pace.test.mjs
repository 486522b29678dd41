// A thousand records a second into one tab, which does not grow. LONG=1: for a minute.
import assert from 'node:assert/strict';
import {mkdtempSync, readFileSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {test} from 'node:test';
import {alive, done} from './page.mjs';
import {ask, serve, venue} from './serve.mjs';
import {GUESTS, log, open, shot, WEIR} from './setting.mjs';

test('1,000 records a second do not make the tab grow', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'weir-web-'));
    const market = await venue(WEIR, ['--rate', '130', '--no-limits'], log);
    const server = await serve(WEIR, ['--data-dir', folder, '--listen-port', '0', '--plugins-approve-uploads', ...market.overrides], log);
    try {
        await fetch(server.origin + '/v1/plugins?file_name=woox.wasm', {method: 'POST', headers: {Authorization: `Bearer ${server.token}`, 'Content-Type': 'application/wasm'}, body: readFileSync(join(GUESTS, 'woox.wasm'))});
        for (const identifier of ['SPOT_BTC_USDT', 'SPOT_ETH_USDT', 'SPOT_SOL_USDT', 'SPOT_DOGE_USDT'])
            for (const type of ['trades', 'ohlcv', 'bbo', 'orderbook'])
                await ask(server, 'POST', '/v1/streams', {plugin: 'woox-datasource', type, identifier, parameters: type === 'ohlcv' ? {timeframe: '1m'} : {}});
        const page = await open();
        page.allowed.push(/401.*\/v1\/session/);
        await page.goto(server.url);
        await alive(page);
        await page.getByRole('button', {name: '4 charts'}).click(); // and the book and the trades of one of them
        const cdp = await page.context().newCDPSession(page);
        await cdp.send('Performance.enable');
        const measure = async () => {
            await cdp.send('HeapProfiler.collectGarbage');
            const {metrics} = await cdp.send('Performance.getMetrics');
            const of = name => metrics.find(m => m.name === name).value;
            return {heap: of('JSHeapUsedSize'), nodes: of('Nodes'), listeners: of('JSEventListeners'), at: of('Timestamp'), busy: of('TaskDuration'), script: of('ScriptDuration'), layout: of('LayoutDuration') + of('RecalcStyleDuration')};
        };
        await page.waitForTimeout(15000); // rings and bars fill up to their bounds
        const first = await measure();
        const rates = [];
        for (let i = 0; i < (process.env.LONG ? 60 : 20); i++) {
            await page.waitForTimeout(1000);
            rates.push(Number(/([\d,]+) rec\/s/.exec(await page.locator('.bottom').innerText())[1].replace(/,/g, '')));
        }
        const last = await measure();
        rates.sort((a, b) => a - b);
        const share = name => ((last[name] - first[name]) / (last.at - first.at) * 100).toFixed(0) + '%';
        console.log(`# main thread: ${share('busy')} busy, ${share('script')} of it in scripts, ${share('layout')} in styles and layout`);
        console.log(`# ${rates[rates.length >> 1]} records/s; heap ${(first.heap / 1e6).toFixed(1)} -> ${(last.heap / 1e6).toFixed(1)} MB; nodes ${first.nodes} -> ${last.nodes}`);
        assert.ok(rates[rates.length >> 1] >= 1000, `only ${rates.join(' ')} records/s came`);
        assert.ok(last.heap - first.heap < 4e6, `the heap grew from ${first.heap} to ${last.heap}`);
        assert.ok(last.nodes - first.nodes < 1500 && last.listeners - first.listeners < 200, 'nodes or listeners pile up');
        assert.ok(!(await page.locator('.bottom').innerText()).includes('dropped by this page'));
        await shot(page, 'journey-1000-a-second');
        await done(page);
    } finally {
        await server.stop();
        await market.stop();
        rmSync(folder, {recursive: true, force: true});
    }
});
