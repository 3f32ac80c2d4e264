for (const select of document.querySelectorAll("select[data-shows]")) {
  const figures = document.querySelectorAll("#" + select.dataset.shows + " figure");
  const show = () => figures.forEach((figure, index) => { figure.hidden = index !== select.selectedIndex; });
  select.addEventListener("change", show);
  show();
  select.parentElement.hidden = figures.length < 2;
}
