// The work of `make bench-peers` by Extism's JavaScript SDK: what work.h says, in its words.
//   node host.mjs PACKAGE calls C.wasm GO.wasm | start GO.wasm | compile GO.wasm | instances C.wasm COUNT | flat C.wasm CALLS HOSTCALLS
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';

const [packageName, what, ...args] = process.argv.slice(2);
const { createPlugin } = await import(packageName);
const ANSWER = '{"success":true,"connectionId":"c-00000017","accepted":2}  ';
const trade =
    '{"topic":"trade@SPOT_BTC_USDT","ts":1717171717123,"source":"matching-engine-3","sequence":918273645,' +
    '"data":{"s":"SPOT_BTC_USDT","px":"67123.45","sx":"0.01250000","sd":"BUY","ts":1717171717119,' +
    '"rpi":false,"maker":"0b2f6f3d4f6a4a9f","taker":"77aa90cd13ee42b1","fee":"0.0003","feeAsset":"USDT"}}';

let readSoFar = 0;
function answer(context, at) {
    const question = context.read(at).bytes();
    for (let i = 0; i < question.length; i += 50) readSoFar += question[i];
    return context.store(ANSWER);
}

const compileFile = (path) => WebAssembly.compile(readFileSync(path));
const make = (module) => createPlugin(module, { useWasi: true, functions: { 'extism:host/user': { answer } } });

const cpuNs = () => {
    const { user, system } = process.cpuUsage();
    return (user + system) * 1000;
};
const resident = () => process.memoryUsage.rss();

async function call(plugin, name, input) {
    const out = await plugin.call(name, input);
    return out ? out.bytes() : new Uint8Array();
}

async function row(plugin, name, input, units) {
    const output = createHash('sha256').update(await call(plugin, name, input)).digest('hex');
    const ns = [];
    let batch = 1;
    for (let sample = -1; sample < 5; ) {
        const start = cpuNs();
        for (let i = 0; i < batch; i++) await call(plugin, name, input);
        const took = cpuNs() - start;
        if (took < 40e6 && sample < 0) {
            batch *= took < 5e6 ? 4 : 2;
            continue;
        }
        if (sample++ >= 0) ns.push(took / batch / units);
    }
    return { output, ns };
}

// An instance lives for 16,384 blocks at most, so each sample has a new one.
async function shortCalls(code, units) {
    const ns = [];
    let output;
    for (let sample = -3; sample < 5; sample++) {
        const plugin = await make(code);
        output = createHash('sha256').update(await call(plugin, 'ask', '100')).digest('hex');
        const start = cpuNs();
        for (let i = 0; i < 40; i++) await call(plugin, 'ask', '100');
        if (sample >= 0) ns.push((cpuNs() - start) / 40 / units);
    }
    return { output, ns };
}

async function doCalls(cPath, goPath) {
    const megabyte = new Uint8Array(1 << 20).map((_, i) => 97 + ((i * 7) % 23));
    const [cCode, goCode] = [await compileFile(cPath), await compileFile(goPath)];
    const todo = [
        ['no-op call', cCode, 'noop', '', 1],
        ['echo 256 B', cCode, 'echo', megabyte.slice(0, 256), 1],
        ['host call, 100 in a call', cCode, 'ask', '100', 100],
        ['host call, 100,000 in a call', cCode, 'ask', '100000', 100000],
        ['1 MB in, 1 MB out', cCode, 'echo', megabyte, 1],
        ['Go plugin, a trade normalised', goCode, 'normalise', trade, 1],
    ];
    const out = {};
    for (const [name, code, entry, input, units] of todo) {
        try {
            out[name] = await (input === '100' ? shortCalls(code, units) : row(await make(code), entry, input, units)); // an instance each
        } catch (e) {
            out[name] = { error: String(e.message ?? e) };
        }
    }
    console.log(JSON.stringify(out));
}

async function doInstances(path, count) {
    const code = await compileFile(path), all = [];
    await call(await make(code), 'noop', '');
    const before = resident(), start = cpuNs();
    let why = '';
    try {
        for (; all.length < count; ) {
            const plugin = await make(code);
            await call(plugin, 'noop', '');
            all.push(plugin);
        }
    } catch (e) {
        why = String(e.message ?? e);
    }
    const made = all.length || 1;
    console.log(JSON.stringify({ made: all.length, ns: (cpuNs() - start) / made, octets: (resident() - before) / made, why }));
}

async function doFlat(path, calls, hostCalls) {
    const plugin = await make(await compileFile(path));
    for (let i = 0; i < calls / 100; i++) await call(plugin, 'noop', '');
    await call(plugin, 'ask', String(hostCalls / 100));
    const early = resident();
    for (let i = 0; i < calls; i++) await call(plugin, 'noop', '');
    let why;
    try {
        await call(plugin, 'ask', String(hostCalls));
    } catch (e) {
        why = String(e.message ?? e);
    }
    console.log(JSON.stringify({ calls, host_calls: hostCalls, grown: resident() - early, why }));
}

if (what === 'calls') await doCalls(...args);
else if (what === 'start') console.log(Buffer.from(await call(await make(await compileFile(args[0])), 'normalise', trade)).toString());
else if (what === 'compile') {
    const start = cpuNs(), wall = process.hrtime.bigint();
    await compileFile(args[0]);
    console.log(JSON.stringify({ cpu_ns: cpuNs() - start, wall_ns: Number(process.hrtime.bigint() - wall) }));
} else if (what === 'instances') await doInstances(args[0], Number(args[1]));
else if (what === 'flat') await doFlat(args[0], Number(args[1]), Number(args[2]));
else throw new Error(`unknown work: ${what}`);
process.exit(0);
