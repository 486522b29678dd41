// Records out of Weir's own history. A page may end early, even empty: only `next` null says that all has been looked at.

import * as api from './api';
import type {Rec} from './types';

export interface Page {
    records: Rec[];
    next: string | null;
}

const PAGES_MAX = 50; // of one question: a chart does not wait for ever

export async function history(question: Record<string, string | number | null | undefined>, wanted: number, cursor: string | null = null): Promise<Page> {
    const records: Rec[] = [];
    let next = cursor;
    for (let i = 0; i < PAGES_MAX; i++) {
        const page = await api.getKeeping<Page>('/v1/history' + api.query({...question, limit: wanted - records.length, format: 'json', cursor: next}));
        records.push(...page.records);
        next = page.next ?? null;
        if (next === null || records.length >= wanted) break;
    }
    return {records, next};
}
