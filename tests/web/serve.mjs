// The real program: weir serve and weir sim, started, stopped, killed.
import {spawn} from 'node:child_process';
import {createWriteStream} from 'node:fs';
import {once} from 'node:events';
import {connect, createServer} from 'node:net';

const alive = new Set();
process.on('exit', () => { for (const p of alive) p.kill('SIGKILL'); });

/** Starts a program and waits for the line of its stdout that `wanted` matches. */
async function start(weir, args, wanted, log) {
    const child = spawn(weir, args, {stdio: ['ignore', 'pipe', 'pipe'], env: {...process.env, NO_COLOR: '1', JOURNAL_STREAM: undefined}});
    alive.add(child);
    const file = createWriteStream(log, {flags: 'a'});
    child.stderr.pipe(file, {end: false});
    let text = '';
    const found = await new Promise((resolve, reject) => {
        const late = setTimeout(() => reject(new Error(`weir ${args.join(' ')}: said nothing for 60 s: ${text}`)), 60000);
        child.stdout.on('data', d => {
            text += d;
            file.write(d);
            const m = wanted.exec(text);
            if (m) {
                clearTimeout(late);
                resolve(m);
            }
        });
        child.on('exit', code => {
            clearTimeout(late);
            alive.delete(child);
            reject(new Error(`weir ${args.join(' ')}: ended with ${code}; see ${log}`));
        });
    });
    const end = async signal => {
        if (child.exitCode !== null || child.signalCode !== null) return child.exitCode;
        child.kill(signal);
        const [code] = await once(child, 'exit');
        return code;
    };
    return {found, pid: child.pid, stop: () => end('SIGTERM'), kill: () => end('SIGKILL')};
}

/** `url` has the token, where one was made; `origin` has not. */
export async function serve(weir, args, log) {
    const p = await start(weir, ['serve', ...args], /listens on (https?:\/\/[^\s/]+)\/(#token=(\S+))?\s/, log);
    const [, origin, hash, token] = p.found;
    return {...p, origin, url: `${origin}/${hash ?? ''}`, token, port: Number(new URL(origin).port)};
}

/** The simulated exchange, and where `weir serve` finds it. */
export async function venue(weir, args, log, port = 0) {
    const p = await start(weir, ['sim', 'woox', '--json', '--plain', '--port', String(port), ...args], /(\{.*\})\s/, log);
    const {http, ws, port: at} = JSON.parse(p.found[1]);
    const overrides = [`https://api.woox.io=${http}`, `https://api-pub.woox.io=${http}`, `wss://wss.woox.io=${ws}`];
    return {...p, port: at, overrides: overrides.flatMap(o => ['--venues-overrides', o])};
}

/** A way to the server that can be cut and mended, while the server knows of nothing. */
export async function wire(port) {
    const ends = new Set();
    let cut = false;
    const server = createServer(near => {
        if (cut) return void near.destroy();
        const far = connect(port, '127.0.0.1');
        for (const [one, other] of [[near, far], [far, near]]) {
            ends.add(one);
            one.on('error', () => {}).on('close', () => { ends.delete(one); other.destroy(); });
            one.pipe(other);
        }
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return {
        origin: `http://127.0.0.1:${server.address().port}`,
        cut() { cut = true; for (const e of ends) e.destroy(); },
        mend() { cut = false; },
        close() { for (const e of ends) e.destroy(); server.close(); },
    };
}

/** Asks the API as a program does. */
export async function ask(server, method, path, body) {
    const r = await fetch(server.origin + path, {method, headers: {Authorization: `Bearer ${server.token}`, ...(body === undefined ? {} : {'Content-Type': 'application/json'})}, ...(body === undefined ? {} : {body: JSON.stringify(body)})});
    const text = await r.text();
    if (!r.ok) throw new Error(`${method} ${path}: ${r.status} ${text}`);
    return text ? JSON.parse(text) : null;
}
