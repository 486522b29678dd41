// Times as people read them. Weir's times are nanoseconds since 1970 as text, or null.

export function ms(ns: string | null | undefined): number | null {
    if (!ns || !/^\d{1,20}$/.test(ns)) return null;
    return Number(BigInt(ns) / 1000n) / 1000;
}

/** RFC 3339 or nanoseconds as text; null where it is neither. */
export function msOf(value: unknown): number | null {
    if (typeof value !== 'string') return null;
    if (/^\d+$/.test(value)) return ms(value);
    const at = Date.parse(value);
    return Number.isNaN(at) ? null : at;
}

const two = (n: number): string => String(n).padStart(2, '0');

export function clock(at: number, withMs = false): string {
    const d = new Date(at);
    return `${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}` + (withMs ? '.' + String(d.getMilliseconds()).padStart(3, '0') : '');
}

export function day(at: number): string {
    const d = new Date(at);
    return `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())}`;
}

export function stamp(ns: string | number | null | undefined, withMs = false): string {
    const at = typeof ns === 'number' ? ns : ms(ns);
    return at === null ? '' : `${day(at)} ${clock(at, withMs)}`;
}

/** "0.4s", "12s", "3m 05s", "2h 10m", "4d 3h". */
export function duration(milliseconds: number): string {
    const s = Math.max(0, milliseconds) / 1000;
    if (s < 10) return s.toFixed(1) + 's';
    if (s < 60) return Math.floor(s) + 's';
    if (s < 3600) return `${Math.floor(s / 60)}m ${two(Math.floor(s % 60))}s`;
    if (s < 86400) return `${Math.floor(s / 3600)}h ${two(Math.floor((s % 3600) / 60))}m`;
    return `${Math.floor(s / 86400)}d ${Math.floor((s % 86400) / 3600)}h`;
}

export function octets(n: number): string {
    if (n < 1024) return `${n} B`;
    const units = ['KiB', 'MiB', 'GiB', 'TiB'];
    let i = -1;
    do {
        n /= 1024;
        i++;
    } while (n >= 1024 && i < units.length - 1);
    return `${n >= 100 ? n.toFixed(0) : n.toFixed(1)} ${units[i]}`;
}

export function count(n: number): string {
    return String(n).replace(/\B(?=(\d{3})+$)/g, ',');
}
