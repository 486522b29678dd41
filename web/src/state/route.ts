// Pages have addresses behind the '#': #/plugins/woox-datasource. So a page can be linked, and Back works.

import {signal} from '@preact/signals';

export interface Route {
    page: string;
    id: string;
    more: URLSearchParams;
}

function read(): Route {
    const m = /^#\/([a-z]+)(?:\/([^?]*))?(?:\?(.*))?$/.exec(location.hash);
    let id = m?.[2] ?? '';
    try {
        id = decodeURIComponent(id);
    } catch { /* as it is */ }
    return {page: m?.[1] ?? 'market', id, more: new URLSearchParams(m?.[3] ?? '')};
}

export const route = signal<Route>(read());
addEventListener('hashchange', () => (route.value = read()));

export function href(page: string, id: string | number = '', more: Record<string, string> = {}): string {
    const search = new URLSearchParams(more).toString();
    return `#/${page}${id === '' ? '' : '/' + encodeURIComponent(String(id))}${search ? '?' + search : ''}`;
}

export function go(page: string, id: string | number = '', more: Record<string, string> = {}): void {
    location.hash = href(page, id, more);
}
