// Short messages in a corner: what was done, what failed. Failures stay until they are put away.

import {signal} from '@preact/signals';
import {show} from '../lib/show';
import {t} from '../text';

interface Note {
    id: number;
    text: string;
    tone: 'good' | 'bad';
}
const notes = signal<Note[]>([]);
let counter = 0;

export function toast(text: string, tone: 'good' | 'bad' = 'good'): void {
    const note = {id: ++counter, text, tone};
    notes.value = [...notes.value.slice(-4), note];
    if (tone === 'good') setTimeout(() => drop(note.id), 4000);
}

function drop(id: number): void {
    notes.value = notes.value.filter(n => n.id !== id);
}

export function Toasts() {
    return (
        <div class="toasts" role="status" aria-live="polite">
            {notes.value.map(n => (
                <div key={n.id} class={'toast ' + n.tone}>
                    <span>{show(n.text)}</span>
                    <button type="button" class="button quiet" aria-label={t.dismiss} onClick={() => drop(n.id)}>{t.close}</button>
                </div>
            ))}
        </div>
    );
}
