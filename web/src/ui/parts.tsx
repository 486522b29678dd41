// The small parts that pages are made of. All foreign text goes through show() into a text node.

import type {ComponentChildren} from 'preact';
import {useEffect, useRef, useState} from 'preact/hooks';
import {show} from '../lib/show';
import {clock, day, ms} from '../lib/time';
import * as api from '../state/api';
import {t} from '../text';
import {toast} from './toast';

const TONES: Record<string, string> = {
    live: 'good', ready: 'good', open: 'good', ok: 'good', enabled: 'good', active: 'good',
    connecting: 'wait', waiting: 'wait', compiling: 'wait', loading: 'wait', stopping: 'wait', pending: 'wait', incomplete: 'wait', read_only: 'wait', lagging: 'wait',
    failed: 'bad', invalid: 'bad', full: 'bad', error: 'bad',
};

/** A state: a dot and its word, so that colour is never alone. */
export function State({of}: {of: string}) {
    return <span class={'state ' + (TONES[of] ?? 'off')}><i aria-hidden="true" />{show(of)}</span>;
}

interface ButtonProps {
    children: ComponentChildren;
    onClick: () => unknown;
    kind?: 'main' | 'danger' | 'plain' | 'quiet';
    disabled?: boolean | undefined;
    title?: string;
    label?: string;
    pressed?: boolean;
    type?: 'button' | 'submit';
}

/** Says when what it does fails, and cannot be pressed twice meanwhile. */
export function Button({children, onClick, kind = 'plain', disabled, title, label, pressed}: ButtonProps) {
    const [busy, setBusy] = useState(false);
    const press = async (): Promise<void> => {
        const done = onClick();
        if (!(done instanceof Promise)) return;
        setBusy(true);
        try {
            await done;
        } catch (error) {
            toast(api.why(error), 'bad');
        }
        setBusy(false);
    };
    return (
        <button type="button" class={'button ' + kind} disabled={disabled || busy} aria-busy={busy} title={title} aria-label={label} aria-pressed={pressed} onClick={() => void press()}>
            {children}
        </button>
    );
}

/** A moment; on a phone the day is left out, a touch tells it. */
export function Stamp({of, withMs = false}: {of: string | null | undefined; withMs?: boolean}) {
    const at = ms(of);
    return at === null ? null : <span title={day(at)}><span class="not-narrow">{day(at)} </span>{clock(at, withMs)}</span>;
}

export function Head({title, children, note}: {title: string; children?: ComponentChildren; note?: ComponentChildren}) {
    return (
        <header class="head">
            <h1>{title}</h1>
            {note && <p class="note">{note}</p>}
            <div class="actions">{children}</div>
        </header>
    );
}

export function Section({title, children, actions, id}: {title: string; children: ComponentChildren; actions?: ComponentChildren; id?: string}) {
    return (
        <section class="section" aria-label={title} id={id}>
            <header><h2>{title}</h2><div class="actions">{actions}</div></header>
            {children}
        </section>
    );
}

export function Empty({children}: {children: ComponentChildren}) {
    return <div class="empty">{children}</div>;
}

/** Loading, or why not, or what there is. */
export function Wait({what, trouble, children}: {what: unknown; trouble?: string; children: ComponentChildren}) {
    if (what !== null && what !== undefined) return <>{children}</>;
    return trouble ? <Trouble text={trouble} /> : <p class="note pad" role="status">{t.loading}</p>;
}

export function Trouble({text}: {text: string}) {
    return text ? <p class="trouble" role="alert">{show(text)}</p> : null;
}

export interface Column<T> {
    head: string;
    cell: (row: T) => ComponentChildren;
    num?: boolean;
    wide?: boolean;
    wrap?: boolean;   // long values break
    narrow?: boolean; // also on a phone
}

interface TableProps<T> {
    label: string;
    rows: readonly T[];
    columns: Column<T>[];
    keyOf: (row: T) => string | number;
    onOpen?: (row: T) => void;
    selected?: string | number | null;
    empty?: ComponentChildren;
}

/** Rows open by click or Enter; arrows, j and k go up and down. */
export function Table<T>({label, rows, columns, keyOf, onOpen, selected, empty}: TableProps<T>) {
    if (!rows.length) return <Empty>{empty ?? t.nothing}</Empty>;
    return (
        <div class="scroll" tabIndex={onOpen ? undefined : 0} role="group" aria-label={label}>
            <table class={'table' + (onOpen ? ' open' : '')}>
                <thead>
                    <tr>{columns.map(c => <th scope="col" class={cls(c)}>{c.head || <span class="hidden">{t.actions}</span>}</th>)}</tr>
                </thead>
                <tbody onKeyDown={onOpen ? rowKeys : undefined}>
                    {rows.map(row => (
                        <tr key={keyOf(row)} tabIndex={onOpen ? 0 : undefined} class={selected === keyOf(row) ? 'selected' : ''}
                            onClick={onOpen && (e => !(e.target as Element).closest('button,a,input,select') && onOpen(row))}
                            onKeyDown={onOpen && (e => e.key === 'Enter' && e.target === e.currentTarget && onOpen(row))}>
                            {columns.map(c => <td class={cls(c)} data-head={c.head}>{c.cell(row)}</td>)}
                        </tr>
                    ))}
                </tbody>
            </table>
        </div>
    );
}

const cls = (c: {num?: boolean; wide?: boolean; wrap?: boolean; narrow?: boolean}): string => [c.num && 'num', c.wide && 'wide', c.wrap && 'wrap', c.narrow === false && 'not-narrow'].filter(Boolean).join(' ');

export function rowKeys(e: KeyboardEvent): void {
    const down = e.key === 'ArrowDown' || e.key === 'j', up = e.key === 'ArrowUp' || e.key === 'k';
    if (!down && !up) return;
    const row = e.target as HTMLElement;
    if (row.tagName !== 'TR') return;
    const next = (down ? row.nextElementSibling : row.previousElementSibling) as HTMLElement | null;
    next?.focus();
    e.preventDefault();
}

export function Facts({rows}: {rows: [string, ComponentChildren][]}) {
    return (
        <dl class="facts">
            {rows.map(([name, value]) => (
                <div><dt>{name}</dt><dd>{value === '' || value === null || value === undefined ? t.none : value}</dd></div>
            ))}
        </dl>
    );
}

export function Figures({items}: {items: [string, ComponentChildren, string?][]}) {
    return (
        <dl class="figures">
            {items.map(([name, value, tone]) => <div class={tone ?? ''}><dt>{name}</dt><dd>{value}</dd></div>)}
        </dl>
    );
}

interface FieldProps {
    label: string;
    note?: ComponentChildren;
    value: string;
    onValue: (value: string) => void;
    type?: string;
    options?: readonly (string | [string, string])[] | undefined;
    required?: boolean | undefined;
    placeholder?: string | undefined;
    autocomplete?: string;
    bad?: string;
}

let ids = 0;
export function Field({label, note, value, onValue, type = 'text', options, required, placeholder, autocomplete = 'off', bad}: FieldProps) {
    const id = useRef('f' + ++ids).current;
    const common = {id, required, 'aria-describedby': note ? id + 'n' : undefined, 'aria-invalid': bad ? true : undefined};
    return (
        <div class="field">
            <label for={id}>{label}{required && <span class="must"> {t.required}</span>}</label>
            {options ? (
                <select {...common} value={value} onChange={e => onValue(e.currentTarget.value)}>
                    {options.map(o => typeof o === 'string' ? <option value={o}>{show(o)}</option> : <option value={o[0]}>{show(o[1])}</option>)}
                </select>
            ) : type === 'area' ? (
                <textarea {...common} value={value} rows={5} spellcheck={false} onInput={e => onValue(e.currentTarget.value)} />
            ) : (
                <input {...common} type={type as 'text'} step={type === 'datetime-local' ? 1 : undefined} value={value} placeholder={placeholder} autocomplete={autocomplete as never} spellcheck={false} onInput={e => onValue(e.currentTarget.value)} />
            )}
            {note && <p id={id + 'n'} class="note">{note}</p>}
            {bad && <p class="trouble">{bad}</p>}
        </div>
    );
}

export function Check({label, value, onValue, note}: {label: string; value: boolean; onValue: (v: boolean) => void; note?: string}) {
    return (
        <label class="check">
            <input type="checkbox" checked={value} onChange={e => onValue(e.currentTarget.checked)} />
            <span>{label}{note && <small class="note">{note}</small>}</span>
        </label>
    );
}

/** A search that '/' jumps to. */
export function Filter({value, onValue, label}: {value: string; onValue: (v: string) => void; label: string}) {
    return <input class="filter" type="search" placeholder={t.filter} aria-label={label} value={value} data-filter onInput={e => onValue(e.currentTarget.value)} />;
}

export function matches(filter: string, ...texts: unknown[]): boolean {
    const wanted = filter.toLowerCase().split(/\s+/).filter(Boolean);
    const all = texts.map(x => (typeof x === 'object' ? JSON.stringify(x) : String(x ?? ''))).join(' ').toLowerCase();
    return wanted.every(w => all.includes(w));
}

/** Asks once before it does what cannot be undone. */
export function Danger({children, question, onYes, disabled}: {children: ComponentChildren; question: string; onYes: () => unknown; disabled?: boolean}) {
    const [asked, setAsked] = useState(false);
    const box = useRef<HTMLSpanElement>(null);
    useEffect(() => {
        if (asked) box.current?.querySelector('button')?.focus();
    }, [asked]);
    if (!asked) return <Button kind="danger" disabled={disabled} onClick={() => setAsked(true)}>{children}</Button>;
    return (
        <span class="danger-box" role="group" aria-label={question} ref={box} onKeyDown={e => e.key === 'Escape' && setAsked(false)}>
            <span>{question}</span>
            <Button kind="danger" onClick={() => Promise.resolve(onYes()).finally(() => setAsked(false))}>{t.yes}</Button>
            <Button onClick={() => setAsked(false)}>{t.no}</Button>
        </span>
    );
}
