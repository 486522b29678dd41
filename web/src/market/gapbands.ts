// Gaps on a chart: a hatched band over the bars that are missing or incomplete, so that nothing is drawn across them.

import type {IChartApi, IPrimitivePaneRenderer, IPrimitivePaneView, ISeriesPrimitive, SeriesAttachedParameter, Time} from 'lightweight-charts';
import type {Band} from '../lib/candles';

type Target = Parameters<IPrimitivePaneRenderer['draw']>[0];

export class GapBands implements ISeriesPrimitive<Time> {
    private bands: Band[] = [];
    private color = '#c98a00';
    private chart: IChartApi | null = null;
    private update: (() => void) | null = null;

    attached(p: SeriesAttachedParameter<Time>): void {
        this.chart = p.chart as IChartApi;
        this.update = p.requestUpdate;
    }
    detached(): void {
        this.chart = null;
        this.update = null;
    }
    set(bands: Band[], color: string): void {
        this.bands = bands;
        this.color = color;
        this.update?.();
    }
    paneViews(): readonly IPrimitivePaneView[] {
        return [{zOrder: () => 'bottom', renderer: () => ({draw: target => this.draw(target)})}];
    }

    /** Left and right of a band in pixels; null: out of sight. */
    private span(band: Band): [number, number] | null {
        const scale = this.chart?.timeScale();
        if (!scale) return null;
        const first = scale.timeToIndex(band.first as Time, true), last = scale.timeToIndex(band.last as Time, true);
        if (first === null || last === null) return null;
        const a = scale.logicalToCoordinate(first as never), b = scale.logicalToCoordinate(last as never);
        if (a === null || b === null) return null;
        const half = Math.max(2, scale.options().barSpacing / 2);
        return [a - half, b + half];
    }

    private draw(target: Target): void {
        target.useBitmapCoordinateSpace(({context: c, bitmapSize, horizontalPixelRatio: ratio}) => {
            for (const band of this.bands) {
                const span = this.span(band);
                if (!span || span[1] < 0 || span[0] * ratio > bitmapSize.width) continue;
                const left = Math.max(0, Math.round(span[0] * ratio)), right = Math.min(bitmapSize.width, Math.round(span[1] * ratio));
                c.save();
                c.beginPath();
                c.rect(left, 0, right - left, bitmapSize.height);
                c.clip();
                c.globalAlpha = 0.1;
                c.fillStyle = this.color;
                c.fillRect(left, 0, right - left, bitmapSize.height);
                c.globalAlpha = 0.35;
                c.strokeStyle = this.color;
                c.lineWidth = ratio;
                c.beginPath();
                const step = 8 * ratio;
                for (let x = left - bitmapSize.height - (left % step); x < right; x += step) {
                    c.moveTo(x, bitmapSize.height);
                    c.lineTo(x + bitmapSize.height, 0);
                }
                c.stroke();
                c.globalAlpha = 1;
                c.fillRect(left, 0, right - left, 3 * ratio);
                c.restore();
            }
        });
    }
}
