// The browser that the tests drive: Debian's Chromium, without its own network.
import {existsSync} from 'node:fs';
import {chromium} from 'playwright-core';

export const CHROMIUM = process.env.WEIR_CHROMIUM ?? '/usr/bin/chromium';
export const there = () => existsSync(CHROMIUM);

export function browser() {
    return chromium.launch({
        executablePath: CHROMIUM,
        args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--js-flags=--expose-gc', '--enable-precise-memory-info',
            ...(process.env.PAGES ? ['--disable-features=LocalNetworkAccessChecks'] : [])], // pages that the test gives out are of no known network
    });
}
