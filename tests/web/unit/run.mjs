// Unit tests of web/src/lib by node's own runner: built to plain JavaScript first (node 20 reads no TypeScript).
//
//     node run.mjs MODULES OUT       MODULES: a node_modules with vite (scripts/build-web --modules web)
import {spawnSync} from 'node:child_process';
import {readdirSync, rmSync} from 'node:fs';
import {dirname, join} from 'node:path';
import {fileURLToPath, pathToFileURL} from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const [modules, out] = process.argv.slice(2);
const {build} = await import(pathToFileURL(join(modules, 'vite/dist/node/index.js')).href);
const input = Object.fromEntries(readdirSync(here).filter(f => f.endsWith('.test.ts')).map(f => [f.slice(0, -3), join(here, f)]));
rmSync(out, {recursive: true, force: true});
await build({root: here, configFile: false, logLevel: 'warn', build: {ssr: true, outDir: out, emptyOutDir: true, target: 'es2022', rollupOptions: {input, output: {entryFileNames: '[name].mjs'}}}});
process.exit(spawnSync(process.execPath, ['--test', ...Object.keys(input).map(f => join(out, f + '.mjs'))], {stdio: 'inherit'}).status ?? 1);
