# A books API as FastAPI's tutorial on SQL databases builds one: the measure that
# `make bench` puts beside bookapi. The table is bookapi's own.
import os
from datetime import datetime

from fastapi import Depends, FastAPI, HTTPException
from pydantic import BaseModel
from sqlalchemy import BigInteger, Column, DateTime, Text, create_engine, func, text
from sqlalchemy.orm import Session, declarative_base, sessionmaker

engine = create_engine(os.environ["DATABASE_URL"])
SessionLocal = sessionmaker(autocommit=False, autoflush=False, bind=engine)
Base = declarative_base()
app = FastAPI()


class Book(Base):
    __tablename__ = "books"

    id = Column(BigInteger, primary_key=True)
    name = Column(Text)
    author = Column(Text)
    created_at = Column(DateTime(timezone=True), server_default=func.now())
    updated_at = Column(DateTime(timezone=True), server_default=func.now())


class BookCreate(BaseModel):
    name: str
    author: str


class BookOut(BookCreate):
    id: int
    created_at: datetime
    updated_at: datetime

    class Config:
        orm_mode = True


def get_db():
    db = SessionLocal()
    try:
        yield db
    finally:
        db.close()


@app.get("/healthz")
def healthz():
    return "ok"


@app.post("/books", response_model=BookOut, status_code=201)
def create_book(book: BookCreate, db: Session = Depends(get_db)):
    stored = Book(**book.dict())
    db.add(stored)
    db.commit()
    db.refresh(stored)
    return stored


@app.get("/books/{name}", response_model=BookOut)
def read_book(name: str, db: Session = Depends(get_db)):
    # By the index that bookapi made.
    key = text("lower(left(name, 600)) COLLATE \"C\" = lower(left(:name, 600)) COLLATE \"C\"").bindparams(name=name)
    book = db.query(Book).filter(key, Book.name == name).order_by(Book.id).first()
    if book is None:
        raise HTTPException(status_code=404, detail="Book not found")
    return book
