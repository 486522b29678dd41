// Time frames: "1s", "1m", "4h", "1D", "1W", "1M" (a month; case tells it from a minute) and how plugins spell them.
// Weeks begin on Monday, everything in UTC, as venues do it.

export interface Frame {
    name: string;
    seconds: number; // of a month: 30 days, for comparisons only
    months: number;  // 0: a fixed length
}

const UNITS: Record<string, number> = {s: 1, m: 60, h: 3600, H: 3600, d: 86400, D: 86400, w: 604800, W: 604800};

export function frameOf(name: string): Frame | null {
    const m = /^(\d{1,3})(s|m|h|H|d|D|w|W|M|mon|mo)$/.exec(name);
    if (!m || Number(m[1]) < 1) return null;
    const n = Number(m[1]);
    if (m[2]!.startsWith('mo') || m[2] === 'M') return {name, seconds: n * 30 * 86400, months: n};
    return {name, seconds: n * UNITS[m[2]!]!, months: 0};
}

const MONDAY = 4 * 86400; // 1970-01-05

/** The start, in seconds, of the bar that holds this second. */
export function barStart(frame: Frame, second: number): number {
    if (frame.months) {
        const d = new Date(second * 1000);
        const month = d.getUTCFullYear() * 12 + d.getUTCMonth();
        const first = month - (month % frame.months);
        return Date.UTC(Math.floor(first / 12), first % 12, 1) / 1000;
    }
    const offset = frame.seconds % 604800 === 0 ? MONDAY : 0;
    return Math.floor((second - offset) / frame.seconds) * frame.seconds + offset;
}

export function barAfter(frame: Frame, start: number): number {
    if (!frame.months) return start + frame.seconds;
    const d = new Date(start * 1000);
    return Date.UTC(d.getUTCFullYear(), d.getUTCMonth() + frame.months, 1) / 1000;
}

/** Can bars of `base` be put together to bars of `frame`? */
export function divides(base: Frame, frame: Frame): boolean {
    if (base.months) return frame.months > 0 && frame.months % base.months === 0;
    if (frame.months) return 86400 % base.seconds === 0;
    return frame.seconds % base.seconds === 0;
}
