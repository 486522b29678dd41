// Light or dark, kept in this browser: the system's choice until somebody says otherwise.

import {computed, signal} from '@preact/signals';

export type Theme = 'system' | 'light' | 'dark';

const stored = (): Theme => {
    try {
        const t = localStorage.getItem('weir.theme');
        return t === 'light' || t === 'dark' ? t : 'system';
    } catch {
        return 'system';
    }
};

export const theme = signal<Theme>(stored());
const system = matchMedia('(prefers-color-scheme: light)');
const systemLight = signal(system.matches);
system.addEventListener('change', () => (systemLight.value = system.matches));
export const light = computed(() => (theme.value === 'system' ? systemLight.value : theme.value === 'light'));

light.subscribe(value => {
    document.documentElement.dataset.theme = value ? 'light' : 'dark';
});

export function setTheme(t: Theme): void {
    theme.value = t;
    try {
        if (t === 'system') localStorage.removeItem('weir.theme');
        else localStorage.setItem('weir.theme', t);
    } catch { /* a browser that keeps nothing */ }
}

const narrowQuery = matchMedia('(max-width: 760px)');
export const narrow = signal(narrowQuery.matches);
narrowQuery.addEventListener('change', () => (narrow.value = narrowQuery.matches));
