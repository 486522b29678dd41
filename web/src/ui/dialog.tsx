// A dialog over the page: the browser's own, which keeps the focus inside and closes with Escape.

import type {ComponentChildren} from 'preact';
import {useLayoutEffect, useRef} from 'preact/hooks';
import {t} from '../text';

export function Dialog({title, onClose, children, wide}: {title: string; onClose: () => void; children: ComponentChildren; wide?: boolean}) {
    const ref = useRef<HTMLDialogElement>(null);
    useLayoutEffect(() => {
        const dialog = ref.current!, before = document.activeElement as HTMLElement | null;
        dialog.showModal();
        dialog.querySelector<HTMLElement>('input,select,textarea,[autofocus]')?.focus();
        return () => {
            dialog.close(); // while it is modal nothing beside it takes the focus
            before?.focus?.();
        };
    }, []);
    return (
        <dialog ref={ref} class={'dialog' + (wide ? ' wide' : '')} aria-label={title}
            onCancel={e => { e.preventDefault(); onClose(); }}
            onClick={e => e.target === e.currentTarget && onClose()}>
            <header><h2>{title}</h2><button type="button" class="button quiet" aria-label={t.close} onClick={onClose}>{t.close}</button></header>
            <div class="dialog-body">{children}</div>
        </dialog>
    );
}
