// Who is here: a token exchanged for a session, and what its scope allows.

import {computed, signal} from '@preact/signals';
import * as api from './api';
import * as live from './live';
import type {Scope} from './types';

export interface Session {
    name: string;
    scope: Scope;
}
export const session = signal<Session | null | undefined>(undefined); // undefined: not asked yet

const RANK: Record<Scope, number> = {read: 0, operate: 1, admin: 2};
export const may = (scope: Scope): boolean => !!session.value && RANK[session.value.scope] >= RANK[scope];
export const mayOperate = computed(() => may('operate'));
export const mayAdmin = computed(() => may('admin'));

function opened(s: Session): void {
    session.value = s;
    live.start();
}

export async function login(token: string): Promise<void> {
    opened(await api.post<Session>('/v1/session', {token: token.trim()}));
}

export async function logout(): Promise<void> {
    await api.del('/v1/session');
    live.stop();
    session.value = null;
}

/** A socket does not tell why it is refused. A token that was revoked is no reason to try for ever: the session is asked for. */
live.onLost.add(() => {
    if (session.value) void api.get('/v1/session').catch(() => {});
});

/** A token in the address is exchanged and taken out of it at once, before anything else is asked. */
export async function begin(): Promise<string | null> {
    api.whenUnauthorized(() => {
        if (session.value === undefined) return;
        live.stop();
        session.value = null;
    });
    const given = /^#token=([^&]+)/.exec(location.hash);
    if (given) {
        history.replaceState(null, '', location.pathname + '#/market');
        try {
            await login(decodeURIComponent(given[1]!));
            return null;
        } catch (error) {
            session.value = null;
            return api.why(error);
        }
    }
    try {
        opened(await api.get<Session>('/v1/session'));
    } catch (error) {
        session.value = null;
        if (!(error instanceof api.ApiError && error.status === 401)) return api.why(error);
    }
    return null;
}
