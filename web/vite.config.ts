// One script, one style sheet, nothing inline: the pages run under a Content-Security-Policy without exceptions.
import {existsSync, readFileSync} from 'node:fs';
import {defineConfig, type Plugin} from 'vite';

/** What is in the script beside our own: its licences, as /licenses.txt. */
function licences(): Plugin {
    const packages = ['preact', '@preact/signals', '@preact/signals-core', 'lightweight-charts', 'fancy-canvas'];
    const read = (name: string, file: string): string => {
        const path = `node_modules/${name}/${file}`;
        return existsSync(path) ? readFileSync(path, 'utf8').trim() + '\n\n' : '';
    };
    return {
        name: 'licences',
        generateBundle() {
            const texts = packages.map(name => {
                const {version, license} = JSON.parse(read(name, 'package.json')) as {version: string; license: string};
                return `==== ${name} ${version} (${license}) ====\n\n${read(name, 'NOTICE')}${read(name, 'LICENSE')}`;
            });
            this.emitFile({type: 'asset', fileName: 'licenses.txt', source: texts.join('')});
        },
    };
}

export default defineConfig({
    base: '/',
    plugins: [licences()],
    build: {
        target: 'es2022',
        assetsInlineLimit: 0,
        modulePreload: false,
        sourcemap: false,
        chunkSizeWarningLimit: 1000,
    },
    server: {
        proxy: {
            '/v1': {target: process.env.WEIR ?? 'http://127.0.0.1:5174', ws: true},
        },
    },
});
