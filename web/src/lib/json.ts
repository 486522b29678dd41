// JSON as the venue wrote it: a number in a record's data stays the text of its digits, so that 0.000000123456 is not
// shown as 1.23456e-7 and a 20-digit size is not rounded. Numbers are quoted before the text is parsed.

/** Digits without an exponent: "1.5E-7" is "0.00000015". */
export function plain(number: string): string {
    const m = /^(-?)(\d+)(?:\.(\d+))?[eE]([+-]?\d+)$/.exec(number);
    if (!m) return number;
    const exponent = Number(m[4]);
    if (Math.abs(exponent) > 100) return number;
    const digits = m[2]! + (m[3] ?? '');
    const point = m[2]!.length + exponent;
    const moved =
        point <= 0 ? '0.' + '0'.repeat(-point) + digits
        : point >= digits.length ? digits + '0'.repeat(point - digits.length)
        : digits.slice(0, point) + '.' + digits.slice(point);
    return m[1] + moved.replace(/^0+(?=\d)/, '');
}

const STRING_OR_NUMBER = /"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*/g;

/** All numbers as text. */
export function parseKeeping(text: string): unknown {
    return JSON.parse(text.replace(STRING_OR_NUMBER, m => (m.startsWith('"') ? m : `"${plain(m)}"`)));
}

const NUMBER = /[:[,]\s*-?\d/;

/** A record's line. The slow way is taken only where data has a number that is not a string. */
export function parseRecord(line: string): unknown {
    const data = line.indexOf('"data":');
    return data >= 0 && NUMBER.test(line.slice(data)) ? parseKeeping(line) : JSON.parse(line);
}
