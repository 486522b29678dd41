// Foreign text made harmless to look at: control characters, direction marks and what has no width become visible
// escapes. Everything foreign reaches the page through this and a text node.

// eslint-disable-next-line no-control-regex
const HIDDEN = /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;
const HIDDEN_BUT_LINES = new RegExp(HIDDEN.source.replace('\\u0000-\\u001f', '\\u0000-\\u0008\\u000b-\\u001f'), 'g');

const NAMES: Record<string, string> = {'\n': '\\n', '\r': '\\r', '\t': '\\t'};

function escape(c: string): string {
    return NAMES[c] ?? '\\u{' + c.charCodeAt(0).toString(16) + '}';
}

/** On one line. */
export function show(value: unknown): string {
    if (value === null || value === undefined) return '';
    const text = typeof value === 'string' ? value : typeof value === 'object' ? JSON.stringify(value) : String(value);
    return text.replace(HIDDEN, escape);
}

/** With its line breaks: back-traces, logs. */
export function showLines(value: string): string {
    return value.replace(/\r\n/g, '\n').replace(HIDDEN_BUT_LINES, escape);
}
