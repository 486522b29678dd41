// Decimals as text. A price is the venue's digits; what is shown of it is computed with whole numbers of any size,
// never through a float. toNumber is for where something is drawn, not for what is written.

export interface Dec {
    units: bigint; // the number is units / 10^scale
    scale: number;
}

const FORM = /^([+-]?)(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d{1,3}))?$/;

/** null: no decimal. */
export function parse(text: string): Dec | null {
    const m = FORM.exec(text);
    if (!m || (!m[2] && !m[3])) return null;
    const digits = (m[2] ?? '') + (m[3] ?? '');
    let scale = (m[3] ?? '').length - Number(m[4] ?? 0);
    let units = BigInt(digits);
    if (scale < 0) {
        units *= 10n ** BigInt(-scale);
        scale = 0;
    }
    return {units: m[1] === '-' ? -units : units, scale};
}

export function text(d: Dec): string {
    const negative = d.units < 0n;
    const digits = (negative ? -d.units : d.units).toString().padStart(d.scale + 1, '0');
    const whole = digits.slice(0, digits.length - d.scale);
    return (negative ? '-' : '') + whole + (d.scale ? '.' + digits.slice(digits.length - d.scale) : '');
}

function unitsAt(d: Dec, scale: number): bigint {
    return d.units * 10n ** BigInt(scale - d.scale);
}

export function compare(a: string, b: string): number {
    const x = parse(a), y = parse(b);
    if (!x || !y) return x ? 1 : y ? -1 : 0;
    const scale = Math.max(x.scale, y.scale);
    const difference = unitsAt(x, scale) - unitsAt(y, scale);
    return difference < 0n ? -1 : difference > 0n ? 1 : 0;
}

function combine(a: string, b: string, sign: bigint): string | null {
    const x = parse(a), y = parse(b);
    if (!x || !y) return null;
    const scale = Math.max(x.scale, y.scale);
    return text({units: unitsAt(x, scale) + sign * unitsAt(y, scale), scale});
}

export const add = (a: string, b: string): string | null => combine(a, b, 1n);
export const subtract = (a: string, b: string): string | null => combine(a, b, -1n);

export function isZero(value: string): boolean {
    return parse(value)?.units === 0n;
}

/** Digits behind the point, without exponents: "1e-7" has 7. */
export function places(value: string): number {
    return parse(value)?.scale ?? 0;
}

/** Zeros at the end taken away, one spelling for one number: the key of a price level. */
export function canonical(value: string): string {
    const d = parse(value);
    if (!d) return value;
    while (d.scale > 0 && d.units % 10n === 0n) {
        d.units /= 10n;
        d.scale--;
    }
    return text(d);
}

/** Exactly `n` digits behind the point: zeros added, or rounded half away from zero. */
export function fixed(value: string, n: number): string {
    const d = parse(value);
    if (!d) return value;
    if (d.scale <= n) return text({units: unitsAt(d, n), scale: n});
    return text({units: divide(d.units, 10n ** BigInt(d.scale - n)), scale: n});
}

/** At least `n` digits behind the point, never fewer than the venue said. */
export function padded(value: string, n: number): string {
    const d = parse(value);
    return d ? text(d.scale >= n ? d : {units: unitsAt(d, n), scale: n}) : value;
}

function divide(a: bigint, b: bigint): bigint {
    const negative = a < 0n !== b < 0n;
    const x = a < 0n ? -a : a, y = b < 0n ? -b : b;
    const q = (2n * x + y) / (2n * y);
    return negative ? -q : q;
}

/** a / b with `n` digits behind the point; null where there is none. */
export function ratio(a: string, b: string, n: number): string | null {
    const x = parse(a), y = parse(b);
    if (!x || !y || y.units === 0n) return null;
    const scale = Math.max(x.scale, y.scale);
    return text({units: divide(unitsAt(x, scale) * 10n ** BigInt(n), unitsAt(y, scale)), scale: n});
}

/** The multiple of `step` at or below the value, or at or above it (`up`), with the places of the step. */
export function multiple(value: string, step: string, up = false): string {
    const x = parse(value), s = parse(step);
    if (!x || !s || s.units <= 0n) return value;
    const scale = Math.max(x.scale, s.scale), v = unitsAt(x, scale), by = unitsAt(s, scale);
    let n = v / by;
    if (n * by > v) n--;
    if (up && n * by < v) n++;
    return text({units: n * s.units, scale: s.scale});
}

/** How much `to` is above `from`, in percent with a sign: "+1.25". */
export function change(from: string, to: string, n = 2): string | null {
    const difference = subtract(to, from);
    const part = difference === null ? null : ratio(difference, from, n + 2);
    if (part === null) return null;
    const d = parse(part)!;
    const out = text({units: d.units, scale: n});
    return d.units > 0n ? '+' + out : out;
}

/** Thousands apart, in the whole part only. */
export function grouped(value: string): string {
    const m = /^([+-]?)(\d+)(.*)$/.exec(value);
    return m ? m[1] + m[2]!.replace(/\B(?=(\d{3})+$)/g, ',') + m[3] : value;
}

const STEPS: [bigint, string][] = [[10n ** 12n, 'T'], [10n ** 9n, 'B'], [10n ** 6n, 'M'], [10n ** 3n, 'K']];

/** About four digits, for volumes: 114384.16 is "114.4K". */
export function brief(value: string): string {
    const d = parse(value);
    if (!d) return value;
    const size = d.units < 0n ? -d.units : d.units;
    for (const [step, name] of STEPS) {
        const unit = step * 10n ** BigInt(d.scale);
        if (size >= unit) {
            const n = size >= 100n * unit ? 1 : size >= 10n * unit ? 2 : 3;
            return text({units: divide(d.units * 10n ** BigInt(n), unit), scale: n}) + name;
        }
    }
    const whole = (size / 10n ** BigInt(d.scale)).toString().length;
    return fixed(value, Math.max(0, Math.min(d.scale, 5 - whole)));
}

/** For drawing only. */
export function toNumber(value: string): number {
    return Number(value);
}

/** A float as it may be drawn on an axis. */
export function axisText(value: number, n: number): string {
    return value.toFixed(Math.min(n, 20));
}
