// What the API answers; docs/api.md and /v1/openapi.json have it exactly.

export type Scope = 'read' | 'operate' | 'admin';

export interface Trap {
    time?: string | number;
    version?: string;
    stream?: string | null;
    topic?: string | null;
    export?: string;
    code?: string;
    trap?: string;
    then?: string;
    input?: string;
    message?: string;
    calls?: {name?: string; time?: string | number; ms?: number; outcome?: string}[];
    backtrace?: string | string[];
}

export interface Field {
    name: string;
    label?: string;
    type?: string;
    required?: boolean;
    mask?: boolean;
    encrypt?: boolean;
    default?: unknown;
    options?: unknown[];
    description?: string;
}

export interface Version {
    sha256: string;
    version: string;
    size: number;
    installed_at: string | null;
    active: boolean;
    file_name?: string;
    asks: string[]; // where it may want to connect
    adds: string[]; // of that what is not granted: to go back to it is a question then
    removes: string[];
}

export interface Plugin {
    id: string;
    name: string;
    description?: string;
    version: string;
    generation: number | string;
    enabled: boolean;
    state: string;
    why: string;
    sha256: string;
    size: number;
    installed_at: string | null;
    versions: Version[];
    asks: string[];
    grants: string[];
    pending: null | {sha256: string; version: string; asks: string[]; adds: string[]; removes: string[]};
    fields: Field[];
    stream_types: string[];
    timeframes: string[];
    commands: string[];
    connections: number;
    figures: {
        streams: number; messages: number; records: number; gaps: number; traps: number; restarts: number; calls: number;
        call_p50_us: number | null; call_p99_us: number | null; cpu_ms: number | null; memory_octets: number | null; memory_limit_octets: number | null;
    };
    last_trap: Trap | null;
}

export interface Connection {
    id: number;
    plugin: string;
    name: string;
    enabled: boolean;
    config: Record<string, unknown>;
    secrets_set: string[];
    state: string;
    why: string;
    streams: number;
    created_at: string | null;
    updated_at: string | null;
}

export interface Stream {
    id: number;
    connection: number;
    plugin: string;
    type: string;
    identifier: string;
    parameters: Record<string, unknown>;
    topic: string;
    wanted: 'on' | 'off';
    state: string;
    why: string;
    since: string | null;
    figures: {
        received: number; records: number; gaps: number; restarts: number; doubles: number; repeated: number; waiting: number;
        last_ts_event: string | null; last_ts_recv: string | null;
    };
}

export interface Sink {
    id: number;
    name: string;
    spec: string;
    pattern: string;
    connection: number | null; // only of this one
    policy: string;
    enabled: boolean;
    state: string;
    why: string;
    account: Record<string, number>;
}

export interface Node {
    name: string;
    version: string;
    started_at: string | null;
    uptime_s: number;
    demo: boolean;
    account: Record<string, unknown>;
    plugins: number;
    streams: Record<string, number>;
    memory_octets: number;
    cpu_ms: number;
    store: {state: string; why: string; octets: number; history_octets: number; lost: number};
}

export interface Token {
    id: number | string;
    name: string;
    scope: Scope;
    token?: string;
    created_at?: string | null;
    expires_at?: string | null;
    used_at?: string | null;
}

export interface AuditEntry {
    id: number;
    time: string;
    who: string;
    scope: string;
    peer: string;
    action: string;
    target: string;
    status: number;
}

export interface LogLine {
    time: string;
    level: string;
    part: string;
    text: string;
}

export interface Setting {
    name: string;
    value: unknown;
    source: string;
    help: string;
}

export interface Topic {
    topic: string;
    type: string;
    source: string;
    identifier: string;
    parameters: Record<string, unknown>;
    connection: number | null;
    records: number;
    octets: number;
    first: string | null;
    last: string | null;
    last_seq: string | null;
}

export interface Rec {
    seq?: string;
    kind: 'data' | 'gap' | 'status';
    type: string;
    source: string;
    identifier: string;
    parameters: Record<string, unknown>;
    connection: number | null;
    ts_event?: string | null;
    ts_recv?: string | null;
    ts_out: string | null;
    backfill?: boolean;
    data?: Record<string, unknown>;
    cause?: string;
    from?: string | null;
    to?: string | null;
    count?: number;
    from_seq?: string;
    to_seq?: string;
    state?: string;
    why?: string;
}
