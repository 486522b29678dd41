// Requests to /v1, and the errors they answer. Same origin, by the session's cookie; what changes something carries
// X-Weir, which no foreign page can send.

import {parseKeeping} from '../lib/json';

export class ApiError extends Error {
    readonly code: string;
    readonly status: number;

    constructor(status: number, code: string, text: string) {
        super(text);
        this.status = status;
        this.code = code;
    }
}

let onUnauthorized: () => void = () => {};
export function whenUnauthorized(fn: () => void): void {
    onUnauthorized = fn;
}

async function fail(response: Response): Promise<never> {
    let code = String(response.status), text = response.statusText || `HTTP ${response.status}`;
    try {
        const body = await response.json() as {error?: {code?: string; text?: string}};
        code = body.error?.code ?? code;
        text = body.error?.text ?? text;
    } catch { /* no JSON: the status says it */ }
    if (response.status === 401) onUnauthorized();
    throw new ApiError(response.status, code, text);
}

export async function request(method: string, path: string, body?: BodyInit | null, headers: Record<string, string> = {}): Promise<Response> {
    const response = await fetch(path, {
        method,
        credentials: 'same-origin',
        cache: 'no-store',
        keepalive: method === 'PUT', // small, and also while the page closes
        headers: method === 'GET' ? headers : {'X-Weir': '1', ...headers},
        body: body ?? null,
    });
    return response.ok ? response : fail(response);
}

async function json<T>(method: string, path: string, body?: unknown): Promise<T> {
    const response = await request(method, path, body === undefined ? null : JSON.stringify(body),
        body === undefined ? {} : {'Content-Type': 'application/json'});
    const text = await response.text();
    return (text ? JSON.parse(text) : null) as T;
}

export const get = <T>(path: string): Promise<T> => json<T>('GET', path);
export const post = <T>(path: string, body?: unknown): Promise<T> => json<T>('POST', path, body);
export const patch = <T>(path: string, body: unknown): Promise<T> => json<T>('PATCH', path, body);
export const put = <T>(path: string, body: unknown): Promise<T> => json<T>('PUT', path, body);
export const del = <T>(path: string): Promise<T> => json<T>('DELETE', path);

/** Where numbers are a venue's: they stay text. */
export async function getKeeping<T>(path: string): Promise<T> {
    return parseKeeping(await (await request('GET', path)).text()) as T;
}
export async function postKeeping<T>(path: string, body: unknown): Promise<T> {
    const response = await request('POST', path, JSON.stringify(body), {'Content-Type': 'application/json'});
    return parseKeeping(await response.text()) as T;
}

export function query(values: Record<string, string | number | null | undefined>): string {
    const out = new URLSearchParams();
    for (const [name, value] of Object.entries(values)) if (value !== null && value !== undefined && value !== '') out.set(name, String(value));
    const text = out.toString();
    return text ? '?' + text : '';
}

export const enc = encodeURIComponent;

export function why(error: unknown): string {
    return error instanceof Error ? error.message : String(error);
}
