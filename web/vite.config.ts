// One script, one style sheet, nothing inline: the pages run under a Content-Security-Policy without exceptions.
import {defineConfig} from 'vite';

export default defineConfig({
    base: '/',
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
