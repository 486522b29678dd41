// English is in web/src/text.ts and nowhere else: no words between tags, none in attributes that people read or hear,
// none in what is said by a message or an error.
import assert from 'node:assert/strict';
import {test} from 'node:test';

declare global {
    interface ImportMeta {
        glob(pattern: string[], options: {query: string; import: string; eager: true}): Record<string, string>;
    }
}
const sources = import.meta.glob(['../../../web/src/**/*.ts', '../../../web/src/**/*.tsx'], {query: '?raw', import: 'default', eager: true});

const WORDS = '[^<>{}()\\[\\]=;`\'"]*[A-Za-z]{2,}[^<>{}()\\[\\]=;`\'"]*';
const BETWEEN = new RegExp(`(?<![=-])[>}](${WORDS})</`, 'g');
const BEFORE = new RegExp(`(?:</[a-z]+|/|[a-z"'}])>(${WORDS})[<{]`, 'g');
const READ = /\b(?:title|aria-label|aria-roledescription|placeholder|label|alt|head|note|empty)(?:=|: )["']([^"']*[A-Za-z]{2,}[^"']*)["']/g;
const SAID = /\b(?:toast|Error|confirm|alert)\((["'`])([^"'`]*[A-Za-z]{2,}[^"'`]*)\1/g;

/** Names, not words: they are the same in every language. */
const NAMES = new Set(['weir', 'NDJSON', 'CSV', 'TradingView Lightweight Charts™', 'weir serve --demo']);

function english(text: string): string[] {
    const code = text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/^\s*\/\/.*$/gm, '').replace(/\s\/\/ .*$/gm, '').replace(/^import .*$/gm, '');
    const found = [...code.matchAll(BETWEEN), ...code.matchAll(BEFORE), ...code.matchAll(READ)].map(m => m[1]!).concat([...code.matchAll(SAID)].map(m => m[2]!));
    return [...new Set(found.map(x => x.trim()))].filter(x => !NAMES.has(x) && !/^[\s.,;:!?]*$/.test(x));
}

test('no page says a word that is not in text.ts', () => {
    assert.ok(Object.keys(sources).length > 40, 'the sources are read');
    const bad = Object.entries(sources).filter(([file]) => !file.endsWith('/text.ts')).flatMap(([file, text]) => (file.endsWith('.tsx') || SAID.test(text) ? english(text).map(x => `${file.replace(/.*src\//, '')}: ${x}`) : []));
    assert.deepEqual(bad, []);
});

test('the search finds words where they must not be', () => {
    assert.deepEqual(english('<p>Loading now</p>'), ['Loading now']);
    assert.deepEqual(english('<b>{n} rows</b>'), ['rows']);
    assert.deepEqual(english('<span class="a">Gone {n}</span>'), ['Gone']);
    assert.deepEqual(english('<button title="Go there">{x}</button>'), ['Go there']);
    assert.deepEqual(english("{head: 'Price', cell: x}"), ['Price']);
    assert.deepEqual(english("toast('It is done')"), ['It is done']);
    assert.deepEqual(english('if (a > b && c < d) f<T>(x);'), []);
});
